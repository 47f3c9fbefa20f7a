import { Choice, DataTable, Row, Slider, Step, useCourse } from "@parts";
import { bowl, descend, type Weights } from "@math";
import { useMemo, useState } from "preact/hooks";
import { slider } from "./hand";
import { byFactors, useSamples } from "./shared";
import { Surface, pathLosses } from "./surface";

const RATES = byFactors(0.02, 3);
const SIZES = [1, 8, 32]; // pictures a step; all of them, too
const STEPS = 200;
const START: Weights = [0, 0];

/** Stochastic gradient descent. */
export function Batches() {
  const { t, data } = useCourse();
  const samples = useSamples();
  const count = samples.targets.length;
  const shape = useMemo(() => bowl(samples), [samples]);
  const [batch, setBatch] = useState(1);
  const [rate, setRate] = useState(0.5);
  const path = useMemo(
    () => descend(samples, START, { optimizer: "sgd", rate, steps: STEPS, batch: batch < count ? batch : undefined, order: data.orders }),
    [samples, rate, batch, count, data],
  );
  const losses = pathLosses(shape, path);
  const late = losses.slice(losses.length >> 1).map((loss) => loss - shape.lowest);
  return (
    <Step id="batches" title={t.text("batches.title")}>
      <p>{t("batches.intro")}</p>
      <Choice
        id="batch-size"
        label={t.text("batches.batch")}
        options={[...SIZES.map((value) => ({ value, label: String(value) })), { value: count, label: t.text("batches.all", { n: count }) }]}
        value={batch}
        onChange={setBatch}
      />
      <Slider id="batch-rate" label={t.text("hand.rate")} {...slider(RATES, rate, setRate)} />
      <Row align="top">
        <Surface id="batch-surface" shape={shape} paths={[{ label: t.text("optimizers.sgd"), points: path }]} label={t.text("batches.surface")} />
        <DataTable
          id="batch-table"
          label={t.text("batches.table", { steps: STEPS })}
          head={[t("mean.what"), t("mean.value")]}
          rows={[
            [t("batches.pictures"), STEPS * batch],
            [t("batches.epochs"), (STEPS * batch) / count],
            [t("batches.final"), losses.at(-1)!],
            [t("batches.wander"), late.reduce((sum, loss) => sum + loss, 0) / late.length],
          ]}
        />
      </Row>
      <p>{t("batches.text")}</p>
    </Step>
  );
}
