import { DataTable, LiveControls, LiveOnly, Plot, Row, n, useCourse, useLive } from "@parts";

/** Settings of a run, as `read_runs` in networks.py takes them; what is left out is usual. */
export interface Setting {
  optimizer?: "sgd" | "momentum" | "adam" | "adadelta";
  rate?: number;
  decay?: number;
  dropout?: number;
  initial?: "zeros" | "small" | "he" | "large";
  subtract_mean?: boolean;
  brightness?: number;
}

interface Measured {
  loss: number | null;
  accuracy: number;
}

interface RunRow {
  run: number;
  epoch: number;
  epochs: number;
  train: Measured;
  test: Measured;
}

interface Props {
  id: string;
  runs: { label: string; setting: Setting }[];
  epochs: number;
  /** Training pictures; all if not given. */
  pictures?: number;
  /** Show the loss on other pictures, too. */
  both?: boolean;
}

/** The small CNN, trained live once for each setting. */
export function Runs({ id, runs, epochs, pictures, both }: Props) {
  const { t, data, live } = useCourse();
  const { rows, running, error, start, stop } = useLive<RunRow>(live, "train");
  const latest = runs.map((_, run) => rows.filter((row) => row.run === run).at(-1));
  return (
    <LiveOnly live={live} t={t}>
      <LiveControls
        id={id}
        running={running}
        error={error}
        onStart={() => start({ runs: runs.map((run) => run.setting), epochs, pictures })}
        onStop={stop}
        label={t.text("live.start")}
      />
      {rows.length > 0 && (
        <>
          <Row align="top">
            <Curves id={`${id}-train`} of="train" runs={runs} rows={rows} title={t.text("live.train_loss")} />
            {both && <Curves id={`${id}-test`} of="test" runs={runs} rows={rows} title={t.text("live.test_loss", { n: data.pictures.test })} />}
          </Row>
          {!running && (
            <DataTable
              id={`${id}-table`}
              label={t.text("live.table")}
              head={[t("live.run"), t("live.final_train"), t("live.final_test"), t("live.final_accuracy")]}
              rows={latest.flatMap((row, run) =>
                row ? [[runs[run]!.label, loss(row.train), loss(row.test), n(100 * row.test.accuracy, 1)]] : [],
              )}
            />
          )}
        </>
      )}
    </LiveOnly>
  );

  function loss(measured: Measured) {
    return measured.loss === null ? t("live.diverged") : n(measured.loss, 3);
  }
}

interface CurvesProps {
  id: string;
  of: "train" | "test";
  runs: Props["runs"];
  rows: RunRow[];
  title: string;
}

function Curves({ id, of, runs, rows, title }: CurvesProps) {
  const { t, data } = useCourse();
  const most = 2 * data.guess_loss; // of the losses that are drawn
  const lines = runs.map(({ label }, run) => ({
    label,
    points: rows
      .filter((row) => row.run === run)
      .map((row): [number, number] => [row.epoch, row[of].loss ?? Infinity])
      .filter(([, value]) => value < most),
  }));
  const highest = Math.max(0.1, ...lines.flatMap((line) => line.points.map(([, y]) => y)));
  return (
    <Plot
      id={id}
      lines={lines}
      xRange={[0, rows[0]!.epochs]}
      yRange={[0, highest]}
      xLabel={t.text("live.epoch")}
      yLabel={title}
      label={title}
    />
  );
}
