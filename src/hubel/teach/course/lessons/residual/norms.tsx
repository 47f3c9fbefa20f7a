import { Choice, n, Panel, Plot, Predict, Toggle, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

export const KINDS = ["plain", "residual"] as const;

export const layerPoints = (norms: number[]) => norms.map((norm, index) => [index + 1, norm] as [number, number]);

/** Gradient norms of each layer before training. */
export function Norms({ data, facts, t }: LessonProps) {
  const depths: number[] = data.depths;
  const deepest = depths.length - 1;
  const [at, setAt] = useState(deepest);
  const [normalised, setNormalised] = useState(true);
  const shown = data.norms[normalised ? "with" : "without"];
  const spread = (kind: string) => {
    const norms: number[] = data.norms.with[kind][deepest].slice(1); // the first layer sees the image
    return Math.max(...norms) / Math.min(...norms);
  };
  return (
    <>
      <p>{t("norms.intro", { first: depths[0]!, second: depths[1]!, third: depths[2]! })}</p>
      <Predict
        id="vanish"
        ask={t("norms.ask", { depth: depths[deepest]! })}
        options={["vanish", "stay", "explode"].map((key) => t(`norms.${key}`))}
        answer={2}
      >
        <p>
          {t("norms.seen", {
            ratio: n(Number(spread("plain").toPrecision(2))),
            calm: n(Number(spread("residual").toPrecision(2))),
            year: String(facts.theory_year!.value),
          })}
        </p>
      </Predict>
      <Panel>
        <Choice
          id="depth-choice"
          label={t.text("norms.depth")}
          options={depths.map((depth, index) => ({ value: index, label: n(depth) }))}
          value={at}
          onChange={setAt}
        />
        <Toggle id="batch-norm" label={t.text("norms.batch_norm")} value={normalised} onChange={setNormalised} />
        <Plot
          id="norms-plot"
          lines={KINDS.map((kind) => ({ label: t.text(`kind.${kind}`), points: layerPoints(shown[kind][at]) }))}
          xLabel={t.text("norms.layer")}
          yLabel={t.text("norms.norm")}
          logY
          xRange={[0, depths[at]!]}
          label={t.text("norms.plot")}
        />
      </Panel>
      <p>{t("norms.read")}</p>
    </>
  );
}
