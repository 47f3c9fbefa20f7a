import { Choice, DataTable, Figure, Grid, LiveControls, LiveOnly, Panel, Picture, Plot, Row, Slider, Step, n, percent, useLive, type Live } from "@parts";
import { useEffect, useState } from "preact/hooks";
import type { Weights } from "./network";
import { NAMES, useLab } from "./state";

type Confusions = Record<"drawn" | "moved", Record<"pixels" | "network", number[][]>>;
interface Event {
  samples?: number[][][];
  step?: number;
  loss?: number;
  right?: number;
  weights?: Weights;
  confusions?: Confusions;
}
type Start = "chosen" | "random";

export function Training({ live }: { live: Live }) {
  const { t, data, setTrained } = useLab();
  const [rate, setRate] = useState<number>(data.training.rate);
  const [noise, setNoise] = useState(0);
  const [start, setStart] = useState<Start>("chosen");
  const [seed, setSeed] = useState(7);
  const run = useLive<Event>(live, "train");
  const losses = run.rows.filter((row) => row.loss !== undefined);
  const counted = run.rows.filter((row) => row.right !== undefined);
  const last = counted.at(-1);
  const ended = run.rows.at(-1)?.confusions;
  const weights: Weights = run.rows.findLast((row) => row.weights)?.weights ?? data.trained.weights;
  useEffect(() => {
    if (ended) setTrained(weights);
  }, [ended]);
  const samples: number[][][] = run.rows[0]?.samples ?? data.training.samples;
  const drawings: number = data.training.drawings;
  return (
    <Step id="train" title={t.text("train.title")}>
      <p>{t("train.text", { batch: data.training.batch, drawings })}</p>
      <Row>
        {samples.map((sample, i) => (
          <Picture key={i} pixels={sample.map((row) => row.map((pixel) => (pixel > 0 ? 0 : 1)))} zoom={5} label={t.text(i % 2 ? "train.sampleO" : "train.sampleX")} />
        ))}
      </Row>
      <Panel>
        <LiveOnly live={live} t={t}>
          <Slider id="train-rate" label={t.text("step.rate")} value={rate} min={0.25} max={8} step={0.25} onChange={setRate} format={(value) => n(value, 2)} />
          <Slider id="train-noise" label={t.text("train.noise")} value={noise} min={0} max={0.1} step={0.01} onChange={setNoise} format={(value) => percent(value, 0)} />
          <Choice
            id="train-from"
            label={t.text("train.from")}
            options={(["chosen", "random"] as const).map((value) => ({ value, label: t.text(`train.${value}`) }))}
            value={start}
            onChange={setStart}
          />
          {start === "random" && <Slider id="train-seed" label={t.text("train.seed")} value={seed} min={0} max={9} step={1} onChange={setSeed} />}
          <LiveControls
            id="training"
            running={run.running}
            error={run.error}
            onStart={() => run.start({ rate, noise, start, seed })}
            onStop={run.stop}
            label={t.text("train.start")}
          />
        </LiveOnly>
        {losses.length > 0 && (
          <Plot
            lines={[{ label: t.text("loss.loss"), points: losses.map((row) => [row.step!, row.loss!]) }]}
            xLabel={t.text("train.step")}
            yLabel={t.text("train.loss")}
            height={220}
            label={t.text("train.loss")}
          />
        )}
        {last && (
          <p data-id="train-right" data-value={last.right} role="status">
            {t("train.right", { right: last.right!, drawings, step: last.step! })}
          </p>
        )}
        <Row align="top">
          {NAMES.map((name, k) => (
            <Figure key={name} title={t("train.trained", { name: t(`pattern.${name}`) })}>
              <Grid size="large" values={weights.patterns[k]!} digits={1} full={4} label={t.text("train.trained", { name: t.text(`pattern.${name}`) })} />
            </Figure>
          ))}
        </Row>
      </Panel>
      {losses.length > 0 && !run.running && last!.right! < 0.9 * drawings && <p>{t("train.stuck", { loss: n(losses.at(-1)!.loss!, 3) })}</p>}
      <Evaluation confusions={ended ?? data.trained.confusions} drawings={drawings} />
    </Step>
  );
}

function Evaluation({ confusions, drawings }: { confusions: Confusions; drawings: number }) {
  const { t } = useLab();
  const share = (counts: number[][]) => (counts[0]![0]! + counts[1]![1]!) / counts.flat().reduce((sum, count) => sum + count, 0);
  const rows = (["drawn", "moved"] as const).flatMap((set) =>
    (["pixels", "network"] as const).map((method) => ({ set, method, counts: confusions[set][method] })),
  );
  return (
    <>
      <h3>{t("test.title")}</h3>
      <p>{t("test.text", { drawings })}</p>
      <DataTable
        id="test-table"
        label={t.text("test.title")}
        head={[t("test.images"), t("test.method"), t("test.xx"), t("test.xo"), t("test.ox"), t("test.oo"), t("test.accuracy")]}
        rows={rows.map(({ set, method, counts }) => [
          t(`test.${set}`),
          t(`test.${method}`),
          ...counts.flat(),
          <b data-id={`accuracy-${set}-${method}`} data-value={share(counts)}>{percent(share(counts))}</b>,
        ])}
      />
      <p>{t("test.see", { pixels: percent(share(confusions.drawn.pixels)), network: percent(share(confusions.drawn.network)) })}</p>
    </>
  );
}
