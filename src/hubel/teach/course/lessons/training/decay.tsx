import { DataTable, Row, Slider, Step, n, useCourse } from "@parts";
import { bowl, descend, squaredLoss, type Weights } from "@math";
import { useMemo, useState } from "preact/hooks";
import { Runs } from "./runs";
import { useSamples } from "./shared";
import { Surface } from "./surface";

const RATE = 1;
const STEPS = 150;
const START: Weights = [0, 0];
const LIVE_DECAYS = [0, 0.01, 0.02];
const LIVE_RATE = 0.02;
const LIVE_PICTURES = 100;
const LIVE_EPOCHS = 40;

/** Weight decay moves the lowest place. */
export function Decay() {
  const { t } = useCourse();
  const samples = useSamples();
  const [decay, setDecay] = useState(0.05);
  const shape = useMemo(() => bowl(samples, decay), [samples, decay]);
  const path = useMemo(() => descend(samples, START, { optimizer: "sgd", rate: RATE, steps: STEPS, decay }), [samples, decay]);
  return (
    <Step id="decay" title={t.text("decay.title")}>
      <p>{t("decay.intro")}</p>
      <Slider id="decay-lambda" label={t.text("decay.lambda")} value={decay} min={0} max={0.5} step={0.01} onChange={setDecay} />
      <Row align="top">
        <Surface id="decay-surface" shape={shape} paths={[{ label: t.text("optimizers.sgd"), points: path }]} label={t.text("decay.surface")} />
        <DataTable
          id="decay-table"
          label={t.text("decay.numbers")}
          head={[t("mean.what"), t("mean.value")]}
          rows={[
            [t("decay.minimum"), shape.minimum.map((w) => n(w, 2)).join(", ")],
            [t("decay.length"), Math.hypot(...shape.minimum)],
            [t("decay.error"), squaredLoss(samples, shape.minimum)],
            [t("decay.factor"), 1 - RATE * decay],
            [t("decay.condition"), shape.eigenvalues[0] / shape.eigenvalues[1]],
          ]}
        />
      </Row>
      <p>{t("decay.text")}</p>
      <p>{t("decay.live", { n: LIVE_PICTURES })}</p>
      <Runs
        id="decay-live"
        both
        epochs={LIVE_EPOCHS}
        pictures={LIVE_PICTURES}
        runs={LIVE_DECAYS.map((value) => ({ label: t.text("decay.run", { decay: value }), setting: { decay: value, rate: LIVE_RATE } }))}
      />
      <p>{t("decay.honest")}</p>
    </Step>
  );
}
