import { Choice, DataTable, Fact, Figure, Formula, Plot, Row, Slider, Step, n, useCourse } from "@parts";
import { ADADELTA, bowl, descend, stepsUntil, type OptimizerName, type Weights } from "@math";
import { useMemo, useState } from "preact/hooks";
import { slider } from "./hand";
import { Runs } from "./runs";
import { ARRIVED, byFactors, useSamples } from "./shared";
import { Surface, pathLosses } from "./surface";

const NAMES = ["sgd", "momentum", "adam", "adadelta"] as const;
const SCALES = {
  sgd: byFactors(0.02, 5),
  momentum: byFactors(0.02, 5),
  adam: byFactors(0.01, 2),
  adadelta: byFactors(0.1, 100),
};
const RATES: Record<OptimizerName, number> = { sgd: 1, momentum: 1, adam: 0.2, adadelta: 1 };
const START: Weights = [-1, 0.5];
const STEPS = 3000;
const DRAWN = 200; // steps
const LIVE: Record<OptimizerName, number> = { sgd: 0.05, momentum: 0.02, adam: 0.003, adadelta: 1 };
const LIVE_EPOCHS = 10;
const RULES: Record<OptimizerName, string[]> = {
  sgd: ["w \\to w - \\eta g"],
  momentum: ["v \\to \\mu v + g", "w \\to w - \\eta v"],
  adam: [
    "m \\to \\beta_1 m + (1 - \\beta_1) g",
    "v \\to \\beta_2 v + (1 - \\beta_2) g^2",
    "w \\to w - \\eta \\frac{m / (1 - \\beta_1^t)}{\\sqrt{v / (1 - \\beta_2^t)} + \\epsilon}",
  ],
  adadelta: [
    "v \\to \\rho v + (1 - \\rho) g^2",
    "\\Delta = - \\frac{\\sqrt{u + \\epsilon}}{\\sqrt{v + \\epsilon}} g",
    "u \\to \\rho u + (1 - \\rho) \\Delta^2",
    "w \\to w + \\eta \\Delta",
  ],
};

/** Four optimizers from the same start. */
export function Optimizers() {
  const { t, data } = useCourse();
  const samples = useSamples();
  const shape = useMemo(() => bowl(samples), [samples]);
  const [chosen, setChosen] = useState<OptimizerName>("momentum");
  const [rates, setRates] = useState(RATES);
  const runs = useMemo(
    () =>
      NAMES.map((name) => {
        const points = descend(samples, START, { optimizer: name, rate: rates[name], steps: STEPS });
        const losses = pathLosses(shape, points);
        return { name, points, losses, steps: stepsUntil(losses, shape.lowest, ARRIVED) };
      }),
    [samples, shape, rates],
  );
  const name = (optimizer: OptimizerName) => t.text(`optimizers.${optimizer}`);
  return (
    <Step id="optimizers" title={t.text("optimizers.title")}>
      <p>{t("optimizers.intro")}</p>
      <Choice
        id="optimizer"
        label={t.text("optimizers.choose")}
        options={NAMES.map((value) => ({ value, label: name(value) }))}
        value={chosen}
        onChange={setChosen}
      />
      <Figure title={t("optimizers.formula", { optimizer: name(chosen) })}>
        {RULES[chosen].map((rule) => (
          <Formula key={rule} tex={rule} />
        ))}
      </Figure>
      <Slider
        id="optimizer-rate"
        label={t.text("optimizers.rate", { optimizer: name(chosen) })}
        {...slider(SCALES[chosen], rates[chosen], (rate) => setRates({ ...rates, [chosen]: rate }))}
      />
      <Row align="top">
        <Surface
          id="optimizer-surface"
          shape={shape}
          paths={runs.map((run) => ({ label: name(run.name), points: run.points.slice(0, DRAWN) }))}
          label={t.text("optimizers.surface")}
        />
        <Plot
          id="optimizer-plot"
          lines={runs.map((run) => ({
            label: name(run.name),
            points: run.losses
              .slice(0, DRAWN)
              .map((loss, i): [number, number] => [i, loss])
              .filter(([, loss]) => loss <= 2 * run.losses[0]!),
          }))}
          xRange={[0, DRAWN]}
          xLabel={t.text("rate.step")}
          yLabel={t.text("rate.loss")}
          label={t.text("rate.curve")}
        />
      </Row>
      <DataTable
        id="optimizer-table"
        label={t.text("optimizers.table", { share: 100 * ARRIVED })}
        head={[t("live.run"), t("optimizers.used"), t("mean.steps", { share: 100 * ARRIVED })]}
        rows={runs.map((run) => [name(run.name), rates[run.name], run.steps < 0 ? t("mean.never", { steps: n(STEPS) }) : run.steps])}
      />
      <p>
        {t("optimizers.constants", {
          beta1: <Fact name="adam_beta1" />,
          beta2: <Fact name="adam_beta2" />,
          adam: <Fact name="adam_rate" />,
          rho: <Fact name="adadelta_rho" />,
          epsilon: <Fact name="adadelta_epsilon" />,
          first: Math.sqrt(ADADELTA.epsilon),
        })}
      </p>
      <p>{t("optimizers.live")}</p>
      <Figure caption={t("live.guess", { classes: data.pictures.classes, loss: data.guess_loss })}>
        <Runs
          id="optimizers-live"
          epochs={LIVE_EPOCHS}
          runs={NAMES.map((optimizer) => ({ label: name(optimizer), setting: { optimizer, rate: LIVE[optimizer] } }))}
        />
      </Figure>
      <p>{t("optimizers.text")}</p>
    </Step>
  );
}
