import { Predict, type LessonProps } from "@parts";

/** The question that residual networks answer. */
export function Depth({ data, facts, t }: LessonProps) {
  const [shallow, deep] = data.experiment.depths;
  const fact = (name: string) => facts[name]!.value;
  return (
    <>
      <p>{t("depth.intro")}</p>
      <Predict
        id="degradation"
        ask={t("depth.ask", { shallow, deep })}
        options={[t("depth.shallow", { depth: shallow }), t("depth.deep", { depth: deep }), t("depth.same")]}
        answer={1}
      >
        <p>
          {t("depth.seen", {
            year: String(fact("year")),
            depth: data.depths.at(-1),
            plain18: fact("plain18"),
            plain34: fact("plain34"),
            resnet18: fact("resnet18"),
            resnet34: fact("resnet34"),
            plain110: fact("plain110_error"),
            resnet110: fact("resnet110_error"),
          })}
        </p>
        <p>{t("depth.later")}</p>
      </Predict>
    </>
  );
}
