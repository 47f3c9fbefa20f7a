import { DataTable, LiveControls, LiveOnly, Panel, Plot, Question, Result, Row, useLive, type LessonProps } from "@parts";
import { KINDS } from "./norms";

interface Epoch {
  kind: string;
  depth: number;
  epoch: number;
  error: number;
}

/** The degradation experiment, live. */
export function Experiment({ data, live, t }: LessonProps) {
  const [shallow, deep]: [number, number] = data.experiment.depths;
  const { rows, running, error, start, stop } = useLive<Epoch>(live, "degradation");
  const of = (kind: string, depth: number) => rows.filter((row) => row.kind === kind && row.depth === depth);
  const lines = [deep, shallow].flatMap((depth) =>
    KINDS.map((kind) => ({
      label: t.text("network", { kind: t.text(`kind.${kind}`), depth }),
      points: of(kind, depth).map((row) => [row.epoch, row.error] as [number, number]),
    })),
  );
  const gap = (kind: string) => {
    const deepest = of(kind, deep).at(-1);
    const other = deepest && of(kind, shallow).find((row) => row.epoch === deepest.epoch);
    return deepest && other ? deepest.error - other.error : null;
  };
  return (
    <>
      <p>{t("experiment.intro", { epochs: data.experiment.epochs, shallow, deep })}</p>
      <DataTable
        id="costs"
        label={t.text("experiment.intro", { epochs: data.experiment.epochs, shallow, deep })}
        head={["depth", "params", "params_residual", "macs"].map((key) => t(`experiment.${key}`))}
        rows={data.costs.map((cost: Record<string, number>) => [cost.depth, cost.plain, cost.residual, cost.plain_macs])}
      />
      <p>{t("experiment.time")}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <LiveControls id="degradation-live" running={running} error={error} onStart={() => start({})} onStop={stop} label={t.text("experiment.start")} />
          <Plot
            id="errors"
            lines={lines}
            xLabel={t.text("experiment.epoch")}
            yLabel={t.text("experiment.error")}
            xRange={[0, data.experiment.epochs]}
            yRange={[0, 100]}
            label={t.text("experiment.plot")}
          />
          <Row>
            {KINDS.map((kind) => {
              const points = gap(kind);
              return points === null ? null : <Result key={kind} id={`gap-${kind}`} value={points} digits={1} label={t.text(`experiment.${kind}_gap`)} />;
            })}
          </Row>
        </Panel>
      </LiveOnly>
      <p>{t("experiment.read")}</p>
      <Question id="zero" ask={t("experiment.question", { depth: deep, blocks: (deep - 2) / 2 })}>
        <p>{t("experiment.answer", { blocks: (deep - 2) / 2 })}</p>
      </Question>
    </>
  );
}
