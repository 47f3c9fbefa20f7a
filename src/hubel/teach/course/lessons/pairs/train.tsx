import { Bars, Figure, Grid, LiveControls, LiveOnly, Panel, Plot, Predict, Result, Row, Slider, percent, useLive, type LessonProps, type Packed } from "@parts";
import { useEffect, useState } from "preact/hooks";
import { Scene } from "./scene";

interface Event {
  step: number;
  loss: number | null;
  matrix: number[][];
  scale: number;
  recall: { scenes: number; captions: number };
  told: Record<string, number>;
}

/** The training, live: similarities, loss, recall, and which mistakes are noticed. */
export function Train({ data, live, t, lang }: LessonProps) {
  const { rows, running, error, start, stop } = useLive<Event>(live, "train");
  const [chosen, setChosen] = useState<number | null>(null);
  useEffect(() => setChosen(null), [running]);
  const at = Math.min(chosen ?? Infinity, rows.length - 1);
  const event = rows[at];
  const captions: string[] = data.captions[lang].slice(0, data.in_matrix);
  return (
    <>
      <p>{t("train.intro", { training: data.training, shown: data.in_matrix })}</p>
      <Predict id="first-matrix" ask={t("train.ask")} options={[t("train.even"), t("train.random"), t("train.diagonal")]} answer={0}>
        <p>{t("train.seen")}</p>
      </Predict>
      <p>{t("train.time")}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <LiveControls id="training" running={running} error={error} onStart={() => start({ lang })} onStop={stop} label={t.text("train.start")} />
          {event && (
            <>
              <Slider
                id="step"
                label={t.text("train.step")}
                value={at}
                min={0}
                max={rows.length - 1}
                step={1}
                onChange={setChosen}
                format={(value) => String(rows[value]?.step ?? 0)}
              />
              <Row align="top">
                <Figure caption={t("train.matrix")}>
                  <Grid id="matrix" values={event.matrix.map(stretched(event.matrix))} bare size="small" full={1} mark={onDiagonal} label={t.text("train.matrix")} />
                </Figure>
                <Result id="recall-captions" label={t.text("train.captions")} value={event.recall.captions} digits={3} />
                <Result id="recall-scenes" label={t.text("train.scenes")} value={event.recall.scenes} digits={3} />
              </Row>
              <Figure title={t("train.edits")} caption={t("train.told")}>
                <Bars
                  id="told"
                  bars={data.edits.map((edit: string) => ({ label: t.text(`train.${edit}`), value: event.told[edit]! }))}
                  full={1}
                  format={(value) => percent(value)}
                  label={t.text("train.edits")}
                />
              </Figure>
            </>
          )}
          <Row align="top">
            <Plot
              id="losses"
              lines={[{ label: t.text("train.loss"), points: rows.flatMap((row): [number, number][] => (row.loss === null ? [] : [[row.step, row.loss]])) }]}
              xLabel={t.text("train.updates")}
              yLabel={t.text("train.loss")}
              xRange={[0, data.steps]}
              label={t.text("train.losses")}
            />
            <Plot
              id="recalls"
              lines={(["captions", "scenes"] as const).map((way) => ({
                label: t.text(`train.${way}`),
                points: rows.map((row): [number, number] => [row.step, row.recall[way]]),
              }))}
              xLabel={t.text("train.updates")}
              yLabel={t.text("train.recall", { held_out: data.held_out })}
              xRange={[0, data.steps]}
              yRange={[0, 1]}
              label={t.text("train.recalls")}
            />
          </Row>
        </Panel>
      </LiveOnly>
      <Figure caption={t("train.rows")}>
        <Row id="rows-shown" align="top">
          {data.scenes.slice(0, data.in_matrix).map((scene: Packed, row: number) => (
            <Scene key={row} scene={scene} label={captions[row]!} caption={captions[row]} zoom={3} t={t} />
          ))}
        </Row>
      </Figure>
      <p>{t("train.read")}</p>
    </>
  );
}

const onDiagonal = (row: number, column: number) => (row === column ? ("result" as const) : undefined);

/** Similarities above and below their mean, the farthest of them one: a common level says nothing. */
function stretched(matrix: number[][]): (row: number[]) => number[] {
  const all = matrix.flat();
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const most = Math.max(1e-9, ...all.map((value) => Math.abs(value - mean)));
  return (row) => row.map((value) => (value - mean) / most);
}
