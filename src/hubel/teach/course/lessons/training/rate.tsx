import { Figure, Plot, Predict, Result, Row, Slider, Step, n, useCourse } from "@parts";
import { bowl, descend, stepsUntil, type Weights } from "@math";
import { useMemo, useState } from "preact/hooks";
import { slider } from "./hand";
import { Runs } from "./runs";
import { ARRIVED, byFactors, useSamples } from "./shared";
import { Surface, pathLosses } from "./surface";

const RATES = byFactors(0.02, 5);
const STEPS = 100;
const LIVE_RATES = [0.002, 0.1, 2];
const LIVE_EPOCHS = 10;

/** A learning rate that is too small, right, or too large. */
export function Rate() {
  const { t, data } = useCourse();
  const samples = useSamples();
  const shape = useMemo(() => bowl(samples), [samples]);
  const [rate, setRate] = useState(0.1);
  const [start, setStart] = useState<Weights>([0, 0]);
  const path = useMemo(() => descend(samples, start, { optimizer: "sgd", rate, steps: STEPS }), [samples, start, rate]);
  const losses = pathLosses(shape, path);
  const limit = 2 / shape.eigenvalues[0];
  const steps = stepsUntil(losses, shape.lowest, ARRIVED);
  const state = rate > limit ? "large" : steps < 0 ? "small" : rate * shape.eigenvalues[0] > 1 ? "zigzag" : "right";
  return (
    <Step id="rate" title={t.text("rate.title")}>
      <Predict
        id="predict-rate"
        ask={t("rate.ask")}
        options={(["flat", "steep", "both"] as const).map((name) => t(`rate.${name}`))}
        answer={1}
      >
        <p>{t("rate.seen")}</p>
      </Predict>
      <p>{t("rate.intro")}</p>
      <Slider id="rate-rate" label={t.text("hand.rate")} {...slider(RATES, rate, setRate)} />
      <Row align="top">
        <Surface id="rate-surface" shape={shape} paths={[{ label: t.text("optimizers.sgd"), points: path }]} onStart={setStart} label={t.text("rate.surface")} />
        <Plot
          id="rate-plot"
          lines={[{ label: t.text("rate.loss"), points: losses.map((loss, i): [number, number] => [i, loss]).filter(([, loss]) => loss < 3 * losses[0]! + 1) }]}
          yRange={[0, Math.max(...losses.filter((loss) => loss < 3 * losses[0]! + 1))]}
          xLabel={t.text("rate.step")}
          yLabel={t.text("rate.loss")}
          label={t.text("rate.curve")}
        />
      </Row>
      <p role="status" data-id="rate-state" data-value={state}>
        {t(`rate.state_${state}`, { steps: steps < 0 ? STEPS : steps, share: 100 * ARRIVED, limit: n(limit, 2) })}
      </p>
      <Row>
        <Result id="rate-limit" label={t.text("rate.limit")} value={limit} digits={2} />
        <Result id="rate-steep" label={t.text("mean.steep")} value={shape.eigenvalues[0]} />
        <Result id="rate-flat" label={t.text("mean.flat")} value={shape.eigenvalues[1]} />
      </Row>
      <p>{t("rate.live", { n: data.pictures.train })}</p>
      <Figure caption={t("live.guess", { classes: data.pictures.classes, loss: data.guess_loss })}>
        <Runs
          id="rate-live"
          epochs={LIVE_EPOCHS}
          runs={LIVE_RATES.map((value) => ({ label: t.text("live.rate", { rate: value }), setting: { optimizer: "sgd", rate: value } }))}
        />
      </Figure>
    </Step>
  );
}
