import {
  Bars, Choice, DataTable, Fact, Figure, Formula, Grid, LiveControls, LiveOnly, Panel, PhotoInput, Picture, Plot, Predict,
  Question, Result, Row, Slider, Step, jpegOf, n, percent, unpack, useLive, type LessonProps, type Packed,
} from "@parts";
import { useMemo, useState } from "preact/hooks";
import { covered, cut, cutmix, majority, mixup, tenCrops, varianceOfMean } from "./crops";
import { FolderInput, type Sent } from "./FolderInput";

type T = LessonProps["t"];

interface Boundary {
  name: string;
  trainable: number;
  frozen: number;
  macs: number;
}

interface Augmented {
  name: string;
  start: number;
  steps: { value: number; picture: Packed }[];
}

export default function Page({ data, t, live }: LessonProps) {
  return (
    <>
      <Regimes data={data} t={t} />
      <Training data={data} t={t} live={live} />
      <Stored data={data} t={t} />
      <Augmentation data={data} t={t} live={live} />
      <Mixing data={data} t={t} />
      <Crops data={data} t={t} />
      <Ensembles t={t} />
    </>
  );
}

function Regimes({ data, t }: { data: any; t: T }) {
  const boundaries: Boundary[] = data.boundaries;
  const [at, setAt] = useState(boundaries.length - 1);
  const chosen = boundaries[at]!;
  const head = boundaries.at(-1)!;
  const stages = boundaries.find((one) => one.name === data.stages)!;
  const shares = [head.trainable, stages.trainable, data.parameters].map((count) => count / data.parameters);
  const name = (boundary: Boundary) => (boundary.name === "none" || boundary.name === "all" ? t.text(`boundary.${boundary.name}`) : t.text("boundary.stage", { stage: boundary.name }));
  return (
    <Step id="regimes" title={t.text("regimes.title")}>
      <p>{t("regimes.text", { model: <code>{data.model}</code>, parameters: n(data.parameters), classes: data.classes })}</p>
      <Predict id="share" ask={t("share.ask", { classes: data.classes })} options={shares.map((share) => percent(share, 2))} answer={0}>
        <p>{t("share.answer", { trainable: head.trainable, parameters: data.parameters, share: percent(shares[0]!, 2) })}</p>
      </Predict>
      <DataTable
        id="regime-table"
        label={t.text("regimes.title")}
        head={[t("regime"), t("trainable"), t("frozen"), t("regimes.use")]}
        rows={[
          [t("regime.head"), head.trainable, head.frozen, t("regimes.use.head")],
          [t("regime.stages"), stages.trainable, stages.frozen, t("regimes.use.stages")],
          [t("regime.all"), data.parameters, 0, t("regimes.use.all")],
        ]}
      />
      <Panel>
        <Slider id="boundary" label={t.text("boundary")} value={at} min={0} max={boundaries.length - 1} step={1} onChange={setAt} format={(value) => name(boundaries[value]!)} />
        <Bars
          id="counts"
          label={t.text("regimes.title")}
          full={data.parameters}
          bars={[{ label: t.text("trainable"), value: chosen.trainable }, { label: t.text("frozen"), value: chosen.frozen }]}
        />
        <Result id="trainable-share" label={t.text("trainable.share")} value={(100 * chosen.trainable) / data.parameters} digits={2} />
      </Panel>
      <p>{t("regimes.statistics", { statistics: data.statistics })}</p>
      <Question id="head" ask={t("head.ask", { features: data.features, classes: data.classes })}>
        <Formula tex={`${n(data.features)} \\times ${data.classes} + ${data.classes} = ${n(head.trainable)}`} />
        <p>{t("head.answer")}</p>
      </Question>
    </Step>
  );
}

type Regime = "head" | "stages" | "all" | "scratch";
const REGIMES: Regime[] = ["head", "stages", "all", "scratch"];

type Event =
  | { kind: "photos"; classes: string[]; training: number; test: number; pictures: Packed[] }
  | { kind: "regime"; regime: Regime; boundary: string; trainable: number; frozen: number }
  | { kind: "stored"; regime: Regime; seconds: number; values: number }
  | { kind: "epoch"; regime: Regime; epoch: number; loss: number; accuracy: number; seconds: number };
type Of<Kind> = Extract<Event, { kind: Kind }>;

function Training({ data, t, live }: { data: any; t: T; live: LessonProps["live"] }) {
  const [own, setOwn] = useState<Sent[] | null>(null);
  const [source, setSource] = useState("drawn");
  const training = useLive<Event>(live, "train");
  const rows = training.rows;
  const photos = rows.find((row): row is Of<"photos"> => row.kind === "photos");
  const epochs = rows.filter((row): row is Of<"epoch"> => row.kind === "epoch");
  const counts = rows.filter((row): row is Of<"regime"> => row.kind === "regime");
  const start = () => training.start(source === "own" ? { photos: own ?? [] } : {});
  return (
    <Step id="train" title={t.text("train.title")}>
      <p>{t("train.text", { model: <code>{data.model}</code> })}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <Choice id="source" label={t.text("train.source")} value={source} onChange={setSource} options={["drawn", "own"].map((value) => ({ value, label: t.text(`train.${value}`) }))} />
          {source === "own" && <FolderInput t={t} onPhotos={setOwn} />}
          <LiveControls id="training" running={training.running} error={training.error} onStart={start} onStop={training.stop} label={t.text("train.start")} />
          {photos && (
            <>
              <p>{t("train.photos", { training: photos.training, test: photos.test, classes: photos.classes.join(", ") })}</p>
              <Row>
                {photos.pictures.map((picture, k) => (
                  <Picture key={k} pixels={unpack(picture)} zoom={1.2} label={t.text("train.picture")} />
                ))}
              </Row>
            </>
          )}
          <Plot
            lines={REGIMES.map((regime) => ({
              label: t.text(`regime.${regime}`),
              points: epochs.filter((row) => row.regime === regime).map((row): [number, number] => [row.epoch, 100 * row.accuracy]),
            }))}
            yRange={[0, 100]}
            xLabel={t.text("train.epoch")}
            yLabel={t.text("train.accuracy")}
            label={t.text("train.title")}
          />
          {counts.length > 0 && (
            <DataTable
              id="trained"
              label={t.text("train.title")}
              head={[t("regime"), t("trainable"), t("frozen"), t("train.accuracy"), t("train.seconds")]}
              rows={counts.map((row) => {
                const last = epochs.filter((epoch) => epoch.regime === row.regime).at(-1);
                return [t(`regime.${row.regime}`), row.trainable, row.frozen, last ? Number((100 * last.accuracy).toFixed(1)) : "", last ? Number(last.seconds.toPrecision(2)) : ""];
              })}
            />
          )}
        </Panel>
      </LiveOnly>
      <p>{t("train.read")}</p>
    </Step>
  );
}

const BILLION = 1e9;

function Stored({ data, t }: { data: any; t: T }) {
  const [images, setImages] = useState(300);
  const [epochs, setEpochs] = useState(20);
  const head: Boundary = data.boundaries.at(-1);
  const forward = head.macs;
  const step = 3 * (data.macs - head.macs); // forward, and backward to input and to weights
  const each = images * epochs * (forward + step);
  const once = images * forward + images * epochs * step;
  return (
    <Step id="stored" title={t.text("stored.title")}>
      <p>{t("stored.text", { macs: n(forward), features: data.features })}</p>
      <Panel>
        <Slider id="images" label={t.text("stored.images")} value={images} min={30} max={3000} step={10} onChange={setImages} />
        <Slider id="epochs" label={t.text("stored.epochs")} value={epochs} min={1} max={100} step={1} onChange={setEpochs} />
        <Figure caption={t("stored.unit")}>
          <Bars
            id="costs"
            label={t.text("stored.title")}
            bars={[{ label: t.text("stored.each"), value: each }, { label: t.text("stored.once"), value: once }]}
            format={(value) => n(value / BILLION, 1)}
          />
        </Figure>
        <Row>
          <Result id="saved" label={t.text("stored.ratio")} value={each / once} digits={1} />
          <Result id="stored-bytes" label={t.text("stored.bytes")} value={(images * data.features * 4) / 2 ** 20} digits={2} />
        </Row>
      </Panel>
      <Question id="moving" ask={t("moving.ask")}>
        <p>{t("moving.answer")}</p>
      </Question>
    </Step>
  );
}

function Augmentation({ data, t, live }: { data: any; t: T; live: LessonProps["live"] }) {
  const augmenting = useLive<Augmented>(live, "augment");
  const shown: Augmented[] = data.augmentations;
  const own = new Map(augmenting.rows.map((row) => [row.name, row]));
  return (
    <Step id="augmentation" title={t.text("augmentation.title")}>
      <p>{t("augmentation.text", { count: shown.length })}</p>
      <LiveOnly live={live} t={t}>
        <PhotoInput id="own-photo" onPixels={(pixels) => augmenting.start({ photo: jpegOf(pixels) })} size={256} label={t.text("augmentation.own")} note={t.text("augmentation.sent")} />
        {augmenting.error && <p role="alert">{augmenting.error}</p>}
      </LiveOnly>
      <div class="operations">
        {shown.map((one) => (
          <Operation key={one.name} {...(own.get(one.name) ?? one)} t={t} />
        ))}
      </div>
      <Predict id="labels" ask={t("labels.ask")} options={[t("augment.mirror"), t("augment.flip"), t("augment.brightness")]} answer={2}>
        <p>{t("labels.answer")}</p>
      </Predict>
    </Step>
  );
}

function Operation({ name, start, steps, t }: Augmented & { t: T }) {
  const [at, setAt] = useState(start);
  const step = steps[Math.min(at, steps.length - 1)]!;
  const pixels = useMemo(() => unpack(step.picture), [step]);
  const label = t.text(`augment.${name}`);
  const value = (index: number) => (index === start ? t.text("augmentation.off") : steps.length === 2 ? t.text("augmentation.on") : n(Number(steps[index]!.value.toPrecision(3))));
  return (
    <div class="operation" data-id={`operation-${name}`}>
      <Picture pixels={pixels} zoom={120 / pixels.length} label={`${label}: ${value(at)}`} />
      <Slider id={`augment-${name}`} label={label} value={at} min={0} max={steps.length - 1} step={1} onChange={setAt} format={value} />
    </div>
  );
}

function Mixing({ data, t }: { data: any; t: T }) {
  const [share, setShare] = useState(0.7);
  const [a, b] = useMemo(() => [unpack(data.canvas), unpack(data.other)], [data]);
  return (
    <Step id="mixing" title={t.text("mixing.title")}>
      <p>{t("mixing.text")}</p>
      <Panel>
        <Slider id="lambda" label={t.text("mixing.share")} value={share} min={0} max={1} step={0.05} onChange={setShare} format={(value) => n(value, 2)} />
        <Row align="top">
          <Figure title={t("mixing.mixup")}>
            <Picture pixels={mixup(a, b, share)} zoom={2} label={t.text("mixing.mixup")} />
          </Figure>
          <Figure title={t("mixing.cutmix")}>
            <Picture pixels={cutmix(a, b, share)} zoom={2} label={t.text("mixing.cutmix")} />
          </Figure>
        </Row>
        <Bars id="targets" label={t.text("mixing.target")} full={1} digits={2} bars={[{ label: t.text("mixing.first"), value: share }, { label: t.text("mixing.second"), value: 1 - share }]} />
      </Panel>
    </Step>
  );
}

function Crops({ data, t }: { data: any; t: T }) {
  const pixels = useMemo(() => unpack(data.canvas), [data]);
  const whole = pixels.length;
  const [side, setSide] = useState(Math.round(whole * 0.875));
  const crops = tenCrops(whole, whole, side);
  return (
    <Step id="crops" title={t.text("crops.title")}>
      <p>{t("crops.text", { crop: <Fact name="alexnet_crop" />, image: <Fact name="alexnet_image" />, crops: crops.length })}</p>
      <Panel>
        <Slider id="crop" label={t.text("crops.side", { whole })} value={side} min={Math.round(whole / 4)} max={whole} step={1} onChange={setSide} />
        <Row>
          {crops.map((crop, k) => (
            <Picture key={k} pixels={cut(pixels, crop, side)} zoom={96 / side} label={t.text(crop.mirrored ? "crops.mirrored" : "crops.one", { number: k + 1 })} />
          ))}
        </Row>
        <Row>
          <Result id="covered" label={t.text("crops.covered")} value={100 * covered(whole, whole, side)} digits={1} />
          <Result id="crop-count" label={t.text("crops.count")} value={crops.length} />
        </Row>
      </Panel>
      <DataTable
        label={t.text("crops.table")}
        right={[2]}
        head={[t("crops.networks"), t("crops.crops"), t("crops.error")]}
        rows={[["googlenet_1_1", 1], ["googlenet_1_10", 1], ["googlenet_1_144", 1], ["googlenet_7_144", 7]].map(([name]) => {
          const [, networks, views] = String(name).split("_");
          return [Number(networks), Number(views), <Fact name={String(name)} digits={2} />];
        })}
      />
      <p>{t("crops.read")}</p>
    </Step>
  );
}

const CLASSES = 3;

function Ensembles({ t }: { t: T }) {
  const [scores, setScores] = useState([[0.6, 0.4, 0], [0.55, 0.45, 0], [0, 0.95, 0.05]]);
  const [members, setMembers] = useState(5);
  const [accuracy, setAccuracy] = useState(0.7);
  const [rho, setRho] = useState(0.5);
  const mean = Array.from({ length: CLASSES }, (_, k) => scores.reduce((sum, row) => sum + row[k]!, 0) / scores.length);
  const best = (row: number[]) => row.indexOf(Math.max(...row));
  const votes = Array.from({ length: CLASSES }, (_, k) => scores.filter((row) => best(row) === k).length);
  const better = majority(members, accuracy);
  return (
    <Step id="ensembles" title={t.text("ensembles.title")}>
      <p>{t("ensembles.text")}</p>
      <Panel>
        <Figure caption={t("ensembles.scores")}>
          <Grid id="scores" values={scores} onChange={setScores} min={0} max={1} step={0.05} label={t.text("ensembles.scores")} />
        </Figure>
        <Figure caption={t("ensembles.mean")}>
          <Grid id="mean" values={[mean]} digits={2} mark={(_, c) => (c === best(mean) ? "result" : undefined)} label={t.text("ensembles.mean")} />
        </Figure>
        <Figure caption={t("ensembles.votes")}>
          <Grid id="votes" values={[votes]} mark={(_, c) => (c === best(votes) ? "result" : undefined)} label={t.text("ensembles.votes")} />
        </Figure>
      </Panel>
      <p>{t("ensembles.difference")}</p>
      <Panel>
        <Slider id="members" label={t.text("ensembles.members")} value={members} min={1} max={25} step={2} onChange={setMembers} />
        <Slider id="accuracy" label={t.text("ensembles.accuracy")} value={accuracy} min={0.3} max={0.95} step={0.01} onChange={setAccuracy} format={(value) => percent(value, 0)} />
        <Slider id="rho" label={t.text("ensembles.rho")} value={rho} min={0} max={1} step={0.05} onChange={setRho} format={(value) => n(value, 2)} />
        <Row>
          <Result id="majority" label={t.text("ensembles.majority")} value={100 * better} digits={1} />
          <Result id="variance" label={t.text("ensembles.variance")} value={varianceOfMean(members, rho)} digits={3} />
        </Row>
      </Panel>
      <Formula tex={"\\sigma_n^2 = \\rho \\sigma^2 + \\frac{1 - \\rho}{n} \\sigma^2"} />
      <Question id="same" ask={t("same.ask")}>
        <p>{t("same.answer", { alike: n(varianceOfMean(members, 1), 2), apart: n(varianceOfMean(members, 0), 2), members })}</p>
      </Question>
    </Step>
  );
}
