import { DataTable, Row, Slider, Step, Toggle, n, useCourse } from "@parts";
import { bowl, centred, descend, outputs, stepsUntil, type Weights } from "@math";
import { useMemo, useState } from "preact/hooks";
import { Runs } from "./runs";
import { ARRIVED, useSamples } from "./shared";
import { Surface, pathLosses } from "./surface";

const STEPS = 2000;
const DRAWN = 150; // steps
const LIVE_WHITE = 0.7;
const LIVE_RATE = 0.05;
const LIVE_EPOCHS = 10;
const START: Weights = [0, 0];

/** What the mean of the inputs does to the landscape. */
export function Mean() {
  const { t } = useCourse();
  const [subtract, setSubtract] = useState(false);
  const [white, setWhite] = useState(0.3);
  const [share, setShare] = useState(0.9);
  const raw = useSamples(white);
  const samples = useMemo(() => (subtract ? centred(raw) : raw), [raw, subtract]);
  const shape = useMemo(() => bowl(samples), [samples]);
  const rate = (share * 2) / shape.eigenvalues[0];
  const path = useMemo(() => descend(samples, START, { optimizer: "sgd", rate, steps: STEPS }), [samples, rate]);
  const losses = useMemo(() => pathLosses(shape, path), [shape, path]);
  const steps = stepsUntil(losses, shape.lowest, ARRIVED);
  const errors = outputs(samples, START).map((y, i) => y - samples.targets[i]!);
  const same = samples.x.filter(([x1, x2], i) => errors[i]! * x1 * errors[i]! * x2 >= 0).length;
  return (
    <Step id="mean" title={t.text("mean.title")}>
      <p>
        {t("mean.intro", {
          n: samples.targets.length,
          same: <span data-id="mean-same" data-value={same}>{same}</span>,
        })}
      </p>
      <p>{t("mean.bowl")}</p>
      <Toggle id="mean-subtract" label={t.text("mean.subtract")} value={subtract} onChange={setSubtract} />
      <Slider id="mean-white" label={t.text("mean.white")} value={white} min={0} max={0.8} step={0.05} onChange={setWhite} />
      <Slider id="mean-share" label={t.text("mean.share")} value={share} min={0.05} max={1} step={0.05} onChange={setShare} />
      <Row align="top">
        <Surface id="mean-surface" shape={shape} paths={[{ label: t.text("optimizers.sgd"), points: path.slice(0, DRAWN) }]} label={t.text("rate.surface")} />
        <DataTable
          id="mean-table"
          label={t.text("mean.numbers")}
          head={[t("mean.what"), t("mean.value")]}
          rows={[
            [t("mean.steep"), shape.eigenvalues[0]],
            [t("mean.flat"), shape.eigenvalues[1]],
            [t("mean.condition"), shape.eigenvalues[0] / shape.eigenvalues[1]],
            [t("mean.rate"), rate],
            [t("mean.steps", { share: 100 * ARRIVED }), steps < 0 ? t("mean.never", { steps: n(STEPS) }) : steps],
            [t("mean.lowest"), shape.lowest],
          ]}
        />
      </Row>
      <p>{t("mean.try")}</p>
      <p>{t("mean.live", { white: 100 * LIVE_WHITE })}</p>
      <Runs
        id="mean-live"
        epochs={LIVE_EPOCHS}
        runs={[true, false].map((value) => ({
          label: t.text(value ? "mean.with" : "mean.without"),
          setting: { optimizer: "sgd", rate: LIVE_RATE, brightness: LIVE_WHITE, subtract_mean: value },
        }))}
      />
      <p>{t("mean.once")}</p>
    </Step>
  );
}
