import { DataTable, Fact, Question, Step, n, useCourse } from "@parts";

/** AlexNet's recipe, and questions. */
export function Recipe() {
  const { t, data, facts } = useCourse();
  const [steep, flat] = data.raw.eigenvalues as [number, number];
  const [high, low] = data.centred.eigenvalues as [number, number];
  const [rate, decay, momentum] = ["rate", "decay", "momentum"].map((name) => facts[`alexnet_${name}`]!.value) as [number, number, number];
  const steps = Math.LN2 / (rate * decay);
  return (
    <Step id="recipe" title={t.text("recipe.title")}>
      <p>{t("recipe.intro")}</p>
      <DataTable
        id="recipe-table"
        label={t.text("recipe.table")}
        head={[t("recipe.item"), t("recipe.value")]}
        rows={[
          [t("recipe.optimizer"), t("recipe.sgd")],
          [t("recipe.mean"), t("recipe.centred")],
          ...["batch", "momentum", "decay", "rate", "sigma", "dropout"].map((name) => [t(`recipe.${name}`), <Fact name={`alexnet_${name}`} />]),
        ]}
      />
      <Question id="question-rate" ask={t("recipe.question_rate", { steep, flat })}>
        <p>
          {t("recipe.worked_rate", {
            rate: <span data-id="best-rate" data-value={2 / (steep + flat)}>{n(2 / (steep + flat))}</span>,
            factor: <span data-id="best-factor" data-value={(steep - flat) / (steep + flat)}>{n((steep - flat) / (steep + flat))}</span>,
            centred: (high - low) / (high + low),
          })}
        </p>
      </Question>
      <Question id="question-decay" ask={t("recipe.question_decay")}>
        <p>
          {t("recipe.worked_decay", {
            one: 1,
            rate,
            decay,
            factor: n(1 - rate * decay, 6),
            steps: <span data-id="half-life" data-value={steps}>{n(steps, 0)}</span>,
            times: 1 / (1 - momentum),
            fewer: n(steps * (1 - momentum), 0),
          })}
        </p>
      </Question>
    </Step>
  );
}
