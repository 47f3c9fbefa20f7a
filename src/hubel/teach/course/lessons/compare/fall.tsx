import { Bars, DataTable, Figure, LiveControls, LiveOnly, Picture, Plot, Predict, Result, Row, Slider, Step, Toggle, n, useCourse, useLive } from "@parts";
import { useMemo, useState } from "preact/hooks";
import { scores as cnnScores, type Weights } from "./cnn";
import { crop, grey, largest, neighbours, onCanvas, votes } from "./digits";
import { TestPicture, usePictures } from "./shared";
import { linearScores } from "./templates";

interface View {
  name: string;
  knn: number;
  templates: number;
}

type Row_ = { epoch: number; epochs: number; loss: number; accuracy: number } | { view: string; accuracy: number } | { network: Weights };

const VIEW_KEYS: Record<string, string> = { cropped: "view_cropped", mirrored: "view_mirrored", upside_down: "view_upside_down" };

/** Change the pictures and see who still knows them. */
export function Fall() {
  const { t, data, live } = useCourse();
  const { train, test, trainLabels, testLabels } = usePictures();
  const training = useLive<Row_>(live, "network");
  const network = training.rows.flatMap((row) => ("network" in row ? [row.network] : []))[0];
  const [index, setIndex] = useState(0);
  const [down, setDown] = useState(0);
  const [right, setRight] = useState(0);
  const [cropped, setCropped] = useState(false);
  const [mirrored, setMirrored] = useState(false);
  const [upside, setUpside] = useState(false);
  const stored = useMemo(() => train.map((picture) => onCanvas(grey(picture, data.levels), data.canvas)), [train, data]);
  const changed = useMemo(() => {
    let canvas = onCanvas(grey(test[index]!, data.levels), data.canvas, down, right);
    if (cropped) canvas = crop(canvas);
    if (mirrored) canvas = canvas.map((row) => row.slice().reverse());
    return upside ? canvas.slice().reverse() : canvas;
  }, [test, index, down, right, cropped, mirrored, upside, data]);
  const counts = useMemo(
    () => votes(neighbours(changed, stored, trainLabels).slice(0, data.voters), data.classes),
    [changed, stored, trainLabels, data],
  );
  const linear = linearScores(data.templates, changed);
  const deep = useMemo(() => network && cnnScores(network, changed), [network, changed]);
  const shift = data.margin as number;
  return (
    <Step id="fall" title={t.text("fall.title")}>
      <p>{t("fall.intro")}</p>
      <Predict
        id="predict-fall"
        ask={t("fall.ask")}
        options={(["knn", "linear", "cnn", "none"] as const).map((name) => t(`fall.${name}`))}
        answer={3}
      >
        <p>{t("fall.seen")}</p>
      </Predict>
      <Training training={training} />
      <TestPicture id="fall-picture" index={index} onChange={setIndex} />
      <Slider id="fall-down" label={t.text("fall.down")} value={down} min={-shift} max={shift} step={1} onChange={setDown} />
      <Slider id="fall-right" label={t.text("fall.right")} value={right} min={-shift} max={shift} step={1} onChange={setRight} />
      <Row>
        <Toggle id="fall-cropped" label={t.text("fall.cropped")} value={cropped} onChange={setCropped} />
        <Toggle id="fall-mirrored" label={t.text("fall.mirrored")} value={mirrored} onChange={setMirrored} />
        <Toggle id="fall-upside" label={t.text("fall.upside")} value={upside} onChange={setUpside} />
      </Row>
      <Figure title={t("fall.answers")}>
        <Row>
          <Picture id="fall-canvas" pixels={changed} zoom={12} label={t.text("fall.canvas", { digit: testLabels[index]! })} />
          <Result id="answer-knn" label={t.text("fall.answer_knn")} value={largest(counts)} />
          <Result id="answer-linear" label={t.text("fall.answer_linear")} value={largest(linear)} />
          {deep && <Result id="answer-cnn" label={t.text("fall.answer_cnn")} value={largest(deep)} />}
        </Row>
      </Figure>
      <Row align="top">
        <Scores id="fall-linear" title={t.text("fall.scores_linear")} scores={linear} />
        {deep && <Scores id="fall-cnn" title={t.text("fall.scores_cnn")} scores={deep} />}
      </Row>
      <Views rows={training.rows} tests={test.length} />
      <p>{t("fall.text")}</p>
    </Step>
  );
}

/** Scores of all digits as bars. */
function Scores({ id, title, scores }: { id: string; title: string; scores: number[] }) {
  return (
    <div style={{ flex: "1 1 260px" }}>
      <Figure title={title}>
        <Bars id={id} label={title} digits={1} bars={scores.map((value, digit) => ({ label: String(digit), value }))} />
      </Figure>
    </div>
  );
}

/** Train the CNN on the server. */
function Training({ training }: { training: ReturnType<typeof useLive<Row_>> }) {
  const { t, data, live } = useCourse();
  const { rows, running, error, start, stop } = training;
  const epochs = rows.flatMap((row) => ("epoch" in row ? [row] : []));
  return (
    <>
      <p>{t("fall.train", { first: data.network.filters[0], second: data.network.filters[1], n: data.train.pictures.length })}</p>
      <LiveOnly live={live} t={t}>
        <LiveControls id="fall-live" running={running} error={error} onStart={() => start()} onStop={stop} label={t.text("fall.start")} />
        {epochs.length > 1 && (
          <Plot
            id="fall-plot"
            lines={[{ label: t.text("fall.loss"), points: epochs.map((row) => [row.epoch, row.loss]) }]}
            xRange={[0, epochs[0]!.epochs]}
            xLabel={t.text("fall.epoch")}
            yLabel={t.text("fall.loss")}
            height={200}
            label={t.text("fall.curve")}
          />
        )}
      </LiveOnly>
    </>
  );
}

/** Accuracy of all three on each way of changing the pictures. */
function Views({ rows, tests }: { rows: Row_[]; tests: number }) {
  const { t, data } = useCourse();
  const cnn = new Map(rows.flatMap((row) => ("view" in row ? [[row.view, row.accuracy] as const] : [])));
  const percent = (share: number) => n(100 * share, 1);
  return (
    <Figure title={t("fall.table", { n: tests })}>
      <DataTable
        id="views"
        right={[1, 2, 3]}
        label={t.text("fall.table", { n: tests })}
        head={[t("fall.view"), t("fall.knn"), t("fall.linear"), t("fall.cnn")]}
        rows={(data.views as View[]).map((view) => [
          t(`fall.${VIEW_KEYS[view.name] ?? view.name}`),
          <Share id={`${view.name}-knn`} value={view.knn} text={percent(view.knn)} />,
          <Share id={`${view.name}-linear`} value={view.templates} text={percent(view.templates)} />,
          cnn.has(view.name) ? (
            <Share id={`${view.name}-cnn`} value={cnn.get(view.name)!} text={percent(cnn.get(view.name)!)} />
          ) : (
            t("fall.pending")
          ),
        ])}
      />
    </Figure>
  );
}

function Share({ id, value, text }: { id: string; value: number; text: string }) {
  return (
    <span data-id={id} data-value={value}>
      {text}
    </span>
  );
}
