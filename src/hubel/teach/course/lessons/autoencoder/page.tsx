import {
  Choice, DataTable, DrawingPad, Fact, Figure, Formula, Grid, LiveControls, LiveOnly, Panel, Picture, Plot, Predict,
  Question, Result, Row, Sign, Slider, Step, n, useLive, type LessonProps,
} from "@parts";
import { conv2d, enlargeBilinear, transposedConv2d, transposedSize, upsampleNearest } from "@math";
import { useMemo, useState } from "preact/hooks";
import { meanSquaredError, reconstruct, type Decoder, type LayerWeights } from "./network";

interface Layer {
  kind: "conv" | "pool" | "up" | "transposed";
  channels: number;
  side: number;
  parameters: number;
  macs: number;
  part: "encoder" | "decoder";
}

interface Epoch {
  epoch: number;
  loss: number | null;
  test_loss: number;
  mse: number;
  weights: LayerWeights[];
}

const total = (layers: Layer[], of: "parameters" | "macs") => layers.reduce((sum, layer) => sum + layer[of], 0);
/** The shape of maps on one line. */
const map = (channels: number, side: number) => [channels, side, side].join("\u00a0×\u00a0");
const ones = (rows: number, columns = rows) => Array.from({ length: rows }, () => new Array<number>(columns).fill(1));

export default function Page({ data, t, live }: LessonProps) {
  const [decoder, setDecoder] = useState<Decoder>("upsample");
  const [trained, setTrained] = useState<Decoder>("upsample");
  const training = useLive<Epoch>(live, "train");
  const latest = training.rows.at(-1);
  const start = () => {
    setTrained(decoder);
    training.start({ decoder, epochs: 20 });
  };
  return (
    <>
      <Table data={data} t={t} />
      <Step id="train" title={t.text("train.title")}>
        <p>{t("train.text", { training: data.training, floor: n(data.floor, 3), baseline: n(data.mean_error, 4) })}</p>
        <Panel>
          <Choice id="decoder" label={t.text("decoder")} value={decoder} onChange={setDecoder} options={decoders(t)} />
          <LiveOnly live={live} t={t}>
            <LiveControls id="training" running={training.running} error={training.error} onStart={start} onStop={training.stop} label={t.text("train.start")} />
            <Row>
              <Plot
                lines={[
                  { label: t.text("train.loss"), points: training.rows.flatMap((row): [number, number][] => (row.loss === null ? [] : [[row.epoch, row.loss]])) },
                  { label: t.text("train.test"), points: training.rows.map((row): [number, number] => [row.epoch, row.test_loss]) },
                  { label: t.text("train.floor"), points: training.rows.map((row): [number, number] => [row.epoch, data.floor]) },
                ]}
                xLabel={t.text("train.epoch")}
                yLabel={t.text("train.axis")}
                label={t.text("train.title")}
              />
              <Result id="mse" label={t.text("train.mse")} value={latest?.mse ?? Number.NaN} digits={4} />
            </Row>
            <Reconstructions images={data.test} side={data.side} weights={latest?.weights} decoder={trained} t={t} />
          </LiveOnly>
        </Panel>
        <Question id="floor" ask={t("floor.ask")}>
          <p>{t("floor.answer", { floor: n(data.floor, 3) })}</p>
          <Formula tex={"h(x) = -x \\log x - (1 - x) \\log (1 - x)"} />
        </Question>
      </Step>
      <Draw data={data} t={t} live={live} weights={latest?.weights} decoder={trained} />
      <Stamps t={t} />
      <Checkerboard t={t} />
    </>
  );
}

type T = LessonProps["t"];
const decoders = (t: T): { value: Decoder; label: string }[] => [
  { value: "upsample", label: t.text("decoder.upsample") },
  { value: "transpose", label: t.text("decoder.transpose") },
];

function Table({ data, t }: { data: any; t: T }) {
  const [decoder, setDecoder] = useState<Decoder>("upsample");
  const layers: Layer[] = data.layers[decoder];
  const pools = layers.filter((layer) => layer.kind === "pool");
  const code = pools.at(-1)!;
  const numbers = (layer: Layer) => layer.channels * layer.side ** 2;
  const [first, second] = layers.filter((layer) => layer.kind === "conv");
  const side = data.side;
  return (
    <Step id="table" title={t.text("table.title")}>
      <p>{t("table.text", { pixels: data.pixels })}</p>
      <Predict
        id="code"
        ask={t("code.ask", { pixels: data.pixels })}
        options={pools.map((layer) => t("code.option", { numbers: numbers(layer), channels: layer.channels, side: layer.side }))}
        answer={pools.length - 1}
      >
        <p>{t("code.answer", { numbers: numbers(code), channels: code.channels, side: code.side, ratio: n(data.pixels / numbers(code), 2) })}</p>
        <p>{t("code.paper", { units: <Fact name="hinton_code" /> })}</p>
      </Predict>
      <Choice id="table-decoder" label={t.text("decoder")} value={decoder} onChange={setDecoder} options={decoders(t)} />
      <DataTable
        id="layers"
        label={t.text("table.title")}
        head={[t("table.layer"), t("table.shape"), t("table.parameters"), t("table.macs")]}
        rows={[
          [t("table.input"), map(1, side), 0, 0],
          ...layers.map((layer) => [
            <>{t(`part.${layer.part}`)} · {t(`kind.${layer.kind}`)}</>,
            map(layer.channels, layer.side),
            layer.parameters,
            layer.macs,
          ]),
          [t("table.total"), "", total(layers, "parameters"), total(layers, "macs")],
        ]}
        strong={layers.length + 1}
      />
      <Row>
        <Result id="parameters" label={t.text("table.parameters")} value={total(layers, "parameters")} />
        <Result id="macs" label={t.text("table.macs")} value={total(layers, "macs")} />
      </Row>
      <Question id="second" ask={t("second.ask", { from: first!.channels, to: second!.channels })}>
        <p>{t("second.answer", { to: second!.channels })}</p>
        <Formula tex={`3 \\times 3 \\times ${first!.channels} \\times ${second!.channels} + ${second!.channels} = ${n(second!.parameters)}`} />
      </Question>
    </Step>
  );
}

function Reconstructions({ images, side, weights, decoder, t }: { images: number[][][]; side: number; weights?: LayerWeights[]; decoder: Decoder; t: T }) {
  const shown = useMemo(() => images.map((image) => enlargeBilinear(image, side, side)), [images, side]);
  const made = useMemo(() => weights && shown.map((image) => reconstruct(image, weights, decoder).output), [weights, shown, decoder]);
  return (
    <Row id="reconstructions">
      {shown.map((image, index) => (
        <Figure key={index}>
          <Picture pixels={image} zoom={3} label={t.text("train.original")} />
          {made && <Picture pixels={made[index]!} zoom={3} label={t.text("train.reconstruction")} />}
        </Figure>
      ))}
    </Row>
  );
}

const CROSS = Array.from({ length: 8 }, (_, r) => Array.from({ length: 8 }, (_, c) => Number(r === c || r + c === 7)));
const CHECKS = Array.from({ length: 8 }, (_, r) => Array.from({ length: 8 }, (_, c) => (r + c) % 2));
const SEVEN = [[0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0]];
const DRAWINGS = { seven: SEVEN, cross: CROSS, checks: CHECKS };

function Draw({ data, t, live, weights, decoder }: { data: any; t: T; live: LessonProps["live"]; weights?: LayerWeights[]; decoder: Decoder }) {
  const [drawn, setDrawn] = useState<number[][]>(SEVEN);
  const known = (Object.keys(DRAWINGS) as (keyof typeof DRAWINGS)[]).find((name) => DRAWINGS[name] === drawn) ?? "own";
  const image = useMemo(() => enlargeBilinear(drawn, data.side, data.side), [drawn, data.side]);
  const made = useMemo(() => weights && reconstruct(image, weights, decoder), [image, weights, decoder]);
  const errors = useMemo(
    () =>
      weights &&
      Object.values(DRAWINGS).map((drawing) => {
        const seen = enlargeBilinear(drawing, data.side, data.side);
        return meanSquaredError(seen, reconstruct(seen, weights, decoder).output);
      }),
    [weights, decoder, data.side],
  );
  return (
    <Step id="draw" title={t.text("draw.title")}>
      <p>{t("draw.text", { side: data.side })}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <Choice
            id="drawing"
            label={t.text("draw.choose")}
            value={known}
            onChange={(name) => name !== "own" && setDrawn(DRAWINGS[name as keyof typeof DRAWINGS])}
            options={[...Object.keys(DRAWINGS), ...(known === "own" ? ["own"] : [])].map((value) => ({ value, label: t.text(`draw.${value}`) }))}
          />
          <Row>
            <Figure caption={t("draw.pad")}>
              <DrawingPad id="pad" rows={8} columns={8} values={drawn} onChange={setDrawn} label={t.text("draw.pad")} cell={22} />
            </Figure>
            <Sign>→</Sign>
            <Figure caption={t("draw.input")}>
              <Picture pixels={image} zoom={6} label={t.text("draw.input")} />
            </Figure>
            {made && (
              <>
                <Sign>→</Sign>
                <Figure caption={t("draw.code", { numbers: made.code.flat(2).length })}>
                  <Row>
                    {made.code.map((map, index) => (
                      <Picture key={index} pixels={shaded(map, made.code)} zoom={12} label={t.text("draw.map", { number: index + 1 })} />
                    ))}
                  </Row>
                </Figure>
                <Sign>→</Sign>
                <Figure caption={t("draw.output")}>
                  <Picture id="drawn-again" pixels={made.output} zoom={6} label={t.text("draw.output")} />
                </Figure>
              </>
            )}
          </Row>
          {made ? (
            <Result id="drawing-mse" label={t.text("draw.mse")} value={meanSquaredError(image, made.output)} digits={4} />
          ) : (
            <p>{t("draw.untrained")}</p>
          )}
        </Panel>
        {errors && (
          <Predict id="strange" ask={t("strange.ask")} options={[t("draw.seven"), t("draw.cross"), t("draw.checks")]} answer={errors.indexOf(Math.max(...errors))}>
            <p>{t("strange.answer", { seven: n(errors[0]!, 4), cross: n(errors[1]!, 4), checks: n(errors[2]!, 4) })}</p>
          </Predict>
        )}
      </LiveOnly>
    </Step>
  );
}

function shaded(map: number[][], all: number[][][]): number[][] {
  const most = Math.max(1e-9, ...all.flat(2));
  return map.map((line) => line.map((value) => value / most));
}

function Stamps({ t }: { t: T }) {
  const [input, setInput] = useState([[1, 2, 3]]);
  const [kernel, setKernel] = useState([[1, 2, 1]]);
  const [stride, setStride] = useState(2);
  const result = transposedConv2d(input, kernel, { stride });
  const stamps = input[0]!.map((value, place) => {
    const line = new Array<number>(result[0]!.length).fill(0);
    kernel[0]!.forEach((weight, j) => (line[place * stride + j] = value * weight));
    return line;
  });
  const repeated = [input[0]!.flatMap((value) => new Array<number>(stride).fill(value))];
  const smoothed = conv2d([new Array<number>(repeated[0]!.length).fill(0), repeated[0]!, new Array<number>(repeated[0]!.length).fill(0)], [[0, 0, 0], kernel[0]!, [0, 0, 0]], { padding: 1 }).slice(1, 2);
  const touched = (row: number, column: number) => {
    const place = column - row * stride;
    return place >= 0 && place < kernel[0]!.length ? ("window" as const) : undefined;
  };
  return (
    <Step id="stamps" title={t.text("stamps.title")}>
      <p>{t("stamps.text")}</p>
      <Panel>
        <Row>
          <Figure caption={t("stamps.input")}>
            <Grid id="stamps-input" values={input} onChange={setInput} label={t.text("stamps.input")} />
          </Figure>
          <Figure caption={t("stamps.kernel")}>
            <Grid id="stamps-kernel" values={kernel} onChange={setKernel} label={t.text("stamps.kernel")} />
          </Figure>
        </Row>
        <Slider id="stamps-stride" label={t.text("stamps.stride")} value={stride} min={1} max={3} step={1} onChange={setStride} />
        <Row align="top">
          <Figure title={t("decoder.transpose")} caption={t("stamps.sum")}>
            <Grid values={stamps} mark={touched} label={t.text("stamps.stamps")} />
            <Grid id="stamps-result" values={result} mark={() => "result"} label={t.text("stamps.sum")} />
          </Figure>
          <Figure title={t("decoder.upsample")} caption={t("stamps.smoothed")}>
            <Grid values={repeated} label={t.text("stamps.repeated")} />
            <Grid id="stamps-smoothed" values={smoothed} mark={() => "result"} label={t.text("stamps.smoothed")} />
          </Figure>
        </Row>
      </Panel>
      <p>{t("stamps.name")}</p>
      <Question id="size" ask={t("size.ask", { size: 7, kernel: 3, stride: 2, padding: 1, extra: 1 })}>
        <Formula tex={"o = (n - 1) s - 2p + k + p_{o}"} />
        <p>{t("size.answer", { result: transposedSize(7, 3, 2, 1, 1), without: transposedSize(7, 3, 2, 1, 0) })}</p>
      </Question>
    </Step>
  );
}

const SIDE = 8;

function Checkerboard({ t }: { t: T }) {
  const [kernel, setKernel] = useState(3);
  const [stride, setStride] = useState(2);
  const stamped = transposedConv2d(ones(SIDE), ones(kernel), { stride });
  const edge = kernel; // the rim gets fewer stamps in any case
  const inner = stamped.slice(edge, -edge).map((line) => line.slice(edge, -edge));
  const most = Math.max(...stamped.flat());
  const repeated = conv2d(upsampleNearest(ones(SIDE), stride), ones(kernel));
  const values = [...new Set(inner.flat())].sort((a, b) => a - b);
  const sizes = [3, 4, 5];
  const even = (size: number) => new Set(transposedConv2d(ones(SIDE), ones(size), { stride: 2 }).slice(size, -size).flatMap((line) => line.slice(size, -size))).size === 1;
  return (
    <Step id="checkerboard" title={t.text("checkerboard.title")}>
      <p>{t("checkerboard.text")}</p>
      <Predict id="even" ask={t("even.ask", { stride: 2 })} options={sizes.map((size) => n(size))} answer={sizes.findIndex(even)}>
        <p>{t("even.answer", { kernel: sizes.find(even)!, stride: 2 })}</p>
      </Predict>
      <Panel>
        <Slider id="kernel" label={t.text("checkerboard.kernel")} value={kernel} min={1} max={5} step={1} onChange={setKernel} />
        <Slider id="stride" label={t.text("checkerboard.stride")} value={stride} min={1} max={3} step={1} onChange={setStride} />
        <Row align="top">
          <Figure title={t("decoder.transpose")} caption={t("checkerboard.stamped")}>
            <Picture id="checks" pixels={stamped.map((line) => line.map((value) => value / most))} zoom={11} label={t.text("checkerboard.stamped")} />
          </Figure>
          <Figure title={t("decoder.upsample")} caption={t("checkerboard.repeated")}>
            <Picture pixels={repeated.map((line) => line.map((value) => value / kernel ** 2 / 2))} zoom={11} label={t.text("checkerboard.repeated")} />
          </Figure>
        </Row>
        <Figure caption={t("checkerboard.part")}>
          <Grid id="counts" values={inner.slice(0, 6).map((line) => line.slice(0, 6))} colour="diverging" full={kernel ** 2} size="small" label={t.text("checkerboard.part")} />
        </Figure>
        <Row>
          <Result id="fewest" label={t.text("checkerboard.fewest")} value={values[0] ?? Number.NaN} />
          <Result id="most" label={t.text("checkerboard.most")} value={values.at(-1) ?? Number.NaN} />
        </Row>
      </Panel>
      <p>{t("checkerboard.advice")}</p>
    </Step>
  );
}
