import {
  Bars, Button, Choice, DrawingPad, Figure, Formula, Grid, LiveControls, LiveOnly, Panel, PhotoInput, Picture, Predict,
  Question, Result, Row, Slider, Step, Toggle, jpegOf, n, percent, unpack, unpackGrey, useLive, type LessonProps, type Packed,
} from "@parts";
import { useMemo, useState } from "preact/hooks";
import { gradCam, heat, occlusion, run, type Weights } from "./network";

type T = LessonProps["t"];
type Matrix = number[][];

const signed = (drawn: Matrix) => drawn.map((row) => row.map((value) => (value ? 1 : -1)));
const inked = (image: Matrix) => image.map((row) => row.map((value) => Number(value > 0)));
const paper = (image: Matrix) => image.map((row) => row.map((value) => (1 - value) / 2));

export default function Page({ data, t, live }: LessonProps) {
  const [drawn, setDrawn] = useState<Matrix>(inked(data.x));
  const image = useMemo(() => signed(drawn), [drawn]);
  const shared = { image, weights: data.weights as Weights, t };
  return (
    <>
      <Step id="filters" title={t.text("filters.title")}>
        <p>{t("filters.text", { accuracy: n(100 * data.accuracy, 1) })}</p>
        <Row>
          {shared.weights.patterns.map(([pattern], k) => (
            <Figure key={k} caption={t("filters.one", { number: k + 1 })}>
              <Grid id={`pattern-${k}`} values={pattern!} digits={1} colour="diverging" label={t.text("filters.one", { number: k + 1 })} />
            </Figure>
          ))}
        </Row>
        <Read k="filters" t={t} />
      </Step>
      <Step id="maps" title={t.text("maps.title")}>
        <p>{t("maps.text")}</p>
        <Panel>
          <Row align="top">
            <Drawing id="maps" drawn={drawn} setDrawn={setDrawn} data={data} t={t} />
            <Scores {...shared} />
          </Row>
          <Maps {...shared} />
        </Panel>
        <Read k="maps" t={t} />
      </Step>
      <GradCam {...shared} drawn={drawn} setDrawn={setDrawn} data={data} />
      <Occlusion {...shared} />
      <Photo data={data} t={t} live={live} />
    </>
  );
}

/** How to read a picture, and where it misleads. */
function Read({ k, t }: { k: string; t: T }) {
  return (
    <dl class="reading" data-id={`read-${k}`}>
      <dt>{t("read")}</dt>
      <dd>{t(`${k}.read`)}</dd>
      <dt>{t("fails")}</dt>
      <dd>{t(`${k}.fails`)}</dd>
    </dl>
  );
}

interface Shared {
  image: Matrix;
  weights: Weights;
  t: T;
}

function Drawing({ id, drawn, setDrawn, data, t }: { id: string; drawn: Matrix; setDrawn: (drawn: Matrix) => void; data: any; t: T }) {
  return (
    <Figure caption={t("drawing.help")}>
      <DrawingPad id={`${id}-pad`} rows={9} columns={9} values={drawn} onChange={setDrawn} label={t.text("drawing")} cell={22} />
      <Row>
        <Button id={`${id}-use-x`} quiet onClick={() => setDrawn(inked(data.x))}>X</Button>
        <Button id={`${id}-use-o`} quiet onClick={() => setDrawn(inked(data.o))}>O</Button>
      </Row>
    </Figure>
  );
}

function Scores({ image, weights, t }: Shared) {
  const { scores } = run(image, weights);
  return (
    <Row>
      <Result id="score-x" label={t.text("score", { label: "X" })} value={scores[0]!} digits={3} />
      <Result id="score-o" label={t.text("score", { label: "O" })} value={scores[1]!} digits={3} />
    </Row>
  );
}

function Maps({ image, weights, t }: Shared) {
  const { matches, pooled } = run(image, weights);
  const full = Math.max(...matches.flat(2).map(Math.abs));
  return (
    <Row align="top">
      {matches.map((map, k) => (
        <Figure key={k} caption={t("maps.one", { number: k + 1 })}>
          <Grid id={`map-${k}`} values={map} digits={1} colour="diverging" full={full} size="small" label={t.text("maps.one", { number: k + 1 })} />
          <Grid id={`pooled-${k}`} values={pooled[k]!} digits={1} colour="diverging" full={full} size="small" label={t.text("maps.pooled", { number: k + 1 })} />
        </Figure>
      ))}
    </Row>
  );
}

const CLASSES = ["X", "O"];

function GradCam({ image, weights, t, drawn, setDrawn, data }: Shared & { drawn: Matrix; setDrawn: (drawn: Matrix) => void; data: any }) {
  const [target, setTarget] = useState(0);
  const { alphas, map } = useMemo(() => gradCam(image, weights, target), [image, weights, target]);
  const { scores } = run(image, weights);
  const absent = run(data.x, weights).scores[1]!;
  const empty = gradCam(data.x, weights, 1).map.flat().every((value) => value === 0);
  return (
    <Step id="gradcam" title={t.text("gradcam.title")}>
      <p>{t("gradcam.text")}</p>
      <Formula tex={"\\alpha_k = \\frac{1}{n} \\sum_i \\frac{\\partial s}{\\partial A_{ki}} , L = \\relu ( \\sum_k \\alpha_k A_k )"} />
      <Panel>
        <Choice id="target" label={t.text("target")} value={target} onChange={setTarget} options={CLASSES.map((label, value) => ({ value, label }))} />
        <Row align="top">
          <Drawing id="cam" drawn={drawn} setDrawn={setDrawn} data={data} t={t} />
          <Figure caption={t("gradcam.coarse", { side: map.length })}>
            <Grid id="cam-map" values={map} digits={2} colour="diverging" label={t.text("gradcam.coarse", { side: map.length })} />
          </Figure>
          <Figure caption={t("gradcam.heat")}>
            <Picture id="cam-heat" pixels={heat(paper(image), map)} zoom={22} label={t.text("gradcam.heat")} />
          </Figure>
        </Row>
        <Bars id="alphas" label={t.text("gradcam.alphas")} bars={alphas.map((value, k) => ({ label: t.text("gradcam.alpha", { number: k + 1 }), value }))} digits={4} />
        <Result id="target-score" label={t.text("score", { label: CLASSES[target]! })} value={scores[target]!} digits={3} />
      </Panel>
      <Read k="gradcam" t={t} />
      <Predict id="absent" ask={t("absent.ask")} options={[t("absent.empty"), t("absent.bright")]} answer={empty ? 0 : 1}>
        <p>{t("absent.answer", { score: n(absent, 3) })}</p>
        <Picture pixels={heat(paper(data.x), gradCam(data.x, weights, 1).map)} zoom={16} label={t.text("absent.picture")} />
      </Predict>
    </Step>
  );
}

function Occlusion({ image, weights, t }: Shared) {
  const [side, setSide] = useState(3);
  const { scores } = run(image, weights);
  const target = scores[0]! >= scores[1]! ? 0 : 1;
  const drops = useMemo(() => occlusion(image, weights, target, side), [image, weights, target, side]);
  const sides = [1, 3, 5];
  const largest = (s: number) => Math.max(...occlusion(image, weights, target, s).flat());
  const values = sides.map(largest);
  return (
    <Step id="occlusion" title={t.text("occlusion.title")}>
      <p>{t("occlusion.text", { label: CLASSES[target]! })}</p>
      <Predict id="size" ask={t("size.ask")} options={sides.map((s) => n(s))} answer={values.indexOf(Math.max(...values))}>
        <p>{t("size.answer", { one: n(values[0]!, 2), three: n(values[1]!, 2), five: n(values[2]!, 2) })}</p>
      </Predict>
      <Panel>
        <Slider id="square" label={t.text("occlusion.side")} value={side} min={1} max={7} step={1} onChange={setSide} />
        <Row align="top">
          <Figure caption={t("occlusion.drops")}>
            <Grid id="drops" values={drops} digits={1} colour="diverging" size="small" label={t.text("occlusion.drops")} />
          </Figure>
          <Figure caption={t("occlusion.heat")}>
            <Picture pixels={heat(paper(image), drops)} zoom={22} label={t.text("occlusion.heat")} />
          </Figure>
        </Row>
        <Result id="largest-drop" label={t.text("occlusion.largest")} value={Math.max(...drops.flat())} digits={2} />
      </Panel>
      <Read k="occlusion" t={t} />
      <Question id="cost" ask={t("cost.ask", { side: image.length, square: side })}>
        <p>{t("cost.answer", { positions: drops.length ** 2, side: drops.length })}</p>
      </Question>
    </Step>
  );
}

type Event =
  | { kind: "classes"; top: { label: string; score: number }[]; names: string[] }
  | { kind: "input"; picture: Packed; side: number }
  | { kind: "filters"; pictures: Packed[] }
  | { kind: "maps"; layer: string; count: number; side: number; maps: Packed[] }
  | { kind: "gradcam" | "occlusion"; label: string; score: number; largest: number; map: Packed };

function Photo({ data, t, live }: { data: any; t: T; live: LessonProps["live"] }) {
  const [photo, setPhoto] = useState<number[][][]>(() => unpack(data.canvas));
  const [label, setLabel] = useState("");
  const [tiled, setTiled] = useState(false);
  const looking = useLive<Event>(live, "look");
  const rows = looking.rows;
  const classes = rows.find((row) => row.kind === "classes");
  const input = rows.find((row) => row.kind === "input");
  const filters = rows.find((row) => row.kind === "filters");
  const layers = rows.filter((row) => row.kind === "maps");
  const found = rows.filter((row): row is Extract<Event, { kind: "gradcam" | "occlusion" }> => row.kind === "gradcam" || row.kind === "occlusion");
  const grey = input?.kind === "input" ? unpack(input.picture).map((row) => row.map(([r, g, b]) => (r! + g! + b!) / 3)) : null;
  const start = () => looking.start({ photo: jpegOf(photo), label: label.trim(), tiled });
  return (
    <Step id="photo" title={t.text("photo.title")}>
      <p>{t("photo.text", { model: <code>{data.model}</code> })}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <PhotoInput id="own" onPixels={setPhoto} size={320} label={t.text("photo.choose")} note={t.text("photo.sent")} />
          <Row>
            <Picture pixels={photo} zoom={200 / Math.max(photo.length, photo[0]!.length)} smooth label={t.text("photo.yours")} />
            <div>
              <label class="field">
                {t("photo.label")} <input data-id="label" list="classes" value={label} onInput={(event) => setLabel(event.currentTarget.value)} placeholder={t.text("photo.predicted")} />
              </label>
              <datalist id="classes">{classes?.kind === "classes" && classes.names.map((name) => <option key={name} value={name} />)}</datalist>
              <p>
                <Toggle id="tiled" label={t.text("photo.tiled")} value={tiled} onChange={setTiled} />
              </p>
            </div>
          </Row>
          <LiveControls id="look" running={looking.running} error={looking.error} onStart={start} onStop={looking.stop} label={t.text("photo.start")} />
          {classes?.kind === "classes" && (
            <Bars id="top" label={t.text("photo.top")} full={1} bars={classes.top.map(({ label, score }) => ({ label, value: score }))} format={(value) => percent(value)} />
          )}
        </Panel>
        {filters?.kind === "filters" && (
          <Figure id="photo-filters" title={t("photo.filters", { count: filters.pictures.length })} caption={t("photo.filters.read")}>
            <Row>
              {filters.pictures.map((picture, k) => (
                <Picture key={k} pixels={unpack(picture)} zoom={10} label={t.text("filters.one", { number: k + 1 })} />
              ))}
            </Row>
          </Figure>
        )}
        {layers.map(
          (row) =>
            row.kind === "maps" && (
              <Figure key={row.layer} title={t("photo.maps", { layer: row.layer, count: row.count, side: row.side })}>
                <Row>
                  {row.maps.map((picture, k) => (
                    <Picture key={k} pixels={unpackGrey(picture)} zoom={84 / picture.rows} label={t.text("photo.map", { layer: row.layer })} />
                  ))}
                </Row>
              </Figure>
            ),
        )}
        {layers.length > 0 && <p>{t("photo.maps.read")}</p>}
        {grey && (
          <Row align="top">
            {found.map((row) => (
              <Figure key={row.kind} title={t(`photo.${row.kind}`, { label: row.label, score: n(100 * row.score, 2) })} caption={t(`photo.${row.kind}.read`)}>
                <Picture id={`photo-${row.kind}`} pixels={heat(grey, unpackGrey(row.map))} zoom={2.4} smooth label={t.text(`photo.${row.kind}`, { label: row.label, score: n(100 * row.score, 2) })} />
                <Result id={`largest-${row.kind}`} label={t.text("photo.largest")} value={row.largest} />
              </Figure>
            ))}
          </Row>
        )}
        <p>{t("photo.try")}</p>
      </LiveOnly>
    </Step>
  );
}
