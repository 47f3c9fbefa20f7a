import {
  Choice, DataTable, Figure, Grid, Panel, PhotoInput, Picture, Predict, Question, Result, Row, Sign, Slider, Slip, Step, Toggle,
  n, type LessonProps, type T,
} from "@parts";
import { conv1d, under, type Matrix } from "@math";
import { useMemo, useState } from "preact/hooks";
import { filterColours, paddedColours, sum, type Display, type Pixels } from "./filter";

interface Kernel {
  name: string;
  numbers: Matrix;
  divisor: number;
  sum: number;
}

export default function Page({ data, t }: LessonProps) {
  const kernels: Kernel[] = data.kernels;
  const find = (name: string) => kernels.find((kernel) => kernel.name === name)!;
  const [pixels, setPixels] = useState<Pixels>(data.scene);
  const [numbers, setNumbers] = useState<Matrix>(find("sharpen").numbers);
  const [divisor, setDivisor] = useState(find("sharpen").divisor);
  const kernel = numbers.map((row) => row.map((value) => value / divisor));
  const onPhoto = (photo: number[][][]) => setPixels(photo.map((row) => row.map((pixel) => pixel.map((value) => 255 * value))));
  return (
    <>
      <OneDimension data={data} t={t} />
      <Photo
        t={t}
        kernels={kernels}
        displays={data.displays}
        pixels={pixels}
        numbers={numbers}
        divisor={divisor}
        kernel={kernel}
        onNumbers={setNumbers}
        onDivisor={setDivisor}
        onPhoto={onPhoto}
      />
      <OnePixel t={t} pixels={pixels} kernel={kernel} />
      <Sums t={t} kernels={kernels} />
      <Strength t={t} pixels={pixels} identity={find("identity")} blur={find("box_blur")} />
      <Edges t={t} data={data} sobel={find("sobel_x")} />
    </>
  );
}

const bracketed = (values: number[]) => `[${values.map((value) => n(value)).join(", ")}]`;

function OneDimension({ data, t }: { data: any; t: T }) {
  const [row, setRow] = useState<number[]>(data.row);
  const [own, setOwn] = useState<number[]>(data.kernel);
  const [same, setSame] = useState(false);
  const [flipped, setFlipped] = useState(false);
  const [chosen, setChosen] = useState(0);
  const kernel = flipped ? [...own].reverse() : own;
  const padding = same ? (own.length - 1) / 2 : 0;
  const zeros = new Array<number>(padding).fill(0);
  const padded = [...zeros, ...row, ...zeros];
  const result = conv1d(row, kernel, { padding });
  const at = Math.min(chosen, result.length - 1);
  const seen = padded.slice(at, at + kernel.length);
  const products = seen.map((value, index) => `${n(kernel[index]!)} × ${n(value)}`).join(" + ");
  const options = [[...data.kernel].fill(1), data.kernel, [...data.kernel].reverse()].map((other) => conv1d(data.row, other));
  return (
    <Step id="row" title={t.text("row.title")}>
      <p>{t("row.text")}</p>
      <Predict
        id="row-predict"
        ask={t("row.ask", { row: bracketed(data.row), kernel: bracketed(data.kernel) })}
        options={options.map(bracketed)}
        answer={1}
      >
        <p>{t("row.why", { first: bracketed(data.row.slice(0, data.kernel.length)), step: result[0] ?? 0 })}</p>
      </Predict>
      <Panel id="row-try">
        <Figure caption={t("row.edit")}>
          <Row>
            <Grid
              id="row-values"
              values={[padded]}
              onChange={([to]) => setRow(to!.slice(padding, to!.length - padding))}
              mark={(_, c) => (c >= at && c < at + kernel.length ? "window" : undefined)}
              colour="none"
              label={t.text("row.values")}
            />
            <Sign>∗</Sign>
            <Grid id="row-kernel" values={[own]} onChange={([to]) => setOwn(to!)} label={t.text("row.kernel")} />
          </Row>
        </Figure>
        <Slider id="row-at" label={t.text("row.at")} value={at + 1} min={1} max={result.length} step={1} onChange={(to) => setChosen(to - 1)} />
        <p data-id="row-products">
          {products} = <strong>{n(result[at]!)}</strong>
        </p>
        <Grid
          id="row-result"
          values={[result]}
          mark={(_, c) => (c === at ? "result" : undefined)}
          label={t.text("row.result")}
        />
        <Row>
          <Toggle id="row-same" label={t.text("row.same")} value={same} onChange={setSame} />
          <Toggle id="row-flip" label={t.text("row.flip")} value={flipped} onChange={setFlipped} />
        </Row>
        <p>{t(same ? "row.padded" : "row.valid", { length: result.length, before: row.length })}</p>
        {flipped && <p>{t("row.flipped")}</p>}
      </Panel>
      <Slip k="conv1d" />
    </Step>
  );
}

interface PhotoProps {
  t: T;
  kernels: Kernel[];
  displays: Display[];
  pixels: Pixels;
  numbers: Matrix;
  divisor: number;
  kernel: Matrix;
  onNumbers: (numbers: Matrix) => void;
  onDivisor: (divisor: number) => void;
  onPhoto: (pixels: number[][][]) => void;
}

const shade = (pixels: Pixels) => pixels.map((row) => row.map((pixel) => pixel.map((value) => value / 255)));
const zoomOf = (pixels: Pixels, side = 330) => side / Math.max(pixels.length, pixels[0]!.length);
const usualDisplay = (total: number): Display => (Math.abs(total) < 1e-9 ? "absolute" : "cut");

function Photo(props: PhotoProps) {
  const { t, kernels, displays, pixels, numbers, divisor, kernel, onNumbers, onDivisor, onPhoto } = props;
  const [chosenDisplay, setDisplay] = useState<Display | null>(null);
  const named = kernels.find((one) => one.divisor === divisor && String(one.numbers) === String(numbers));
  const display = chosenDisplay ?? usualDisplay(sum(kernel));
  const colours = useMemo(() => paddedColours(pixels), [pixels]);
  const filtered = useMemo(() => filterColours(colours, kernel, display), [colours, String(kernel), display]);
  const before = useMemo(() => shade(pixels), [pixels]);
  const choose = (name: string) => {
    const one = kernels.find((other) => other.name === name)!;
    onNumbers(one.numbers);
    onDivisor(one.divisor);
    setDisplay(null);
  };
  return (
    <Step id="photo" title={t.text("photo.title")}>
      <p>{t("photo.text")}</p>
      <Choice
        id="photo-kernel"
        label={t.text("photo.choose")}
        options={kernels.map(({ name }) => ({ value: name, label: t.text(`kernel.${name}`) }))}
        value={named?.name ?? ""}
        onChange={choose}
      />
      <Panel id="photo-try">
        <Row>
          <div style={{ maxWidth: "156px" }}>
            <Grid id="photo-numbers" values={numbers} onChange={onNumbers} min={-20} max={20} size="large" label={t.text("photo.kernel")} />
          </div>
          <Figure caption={t("photo.before")}>
            <Picture pixels={before} zoom={zoomOf(pixels, 280)} label={t.text("photo.before")} />
          </Figure>
          <Figure caption={t("photo.after")}>
            <Picture id="photo-after" pixels={filtered.pixels} zoom={zoomOf(pixels, 280)} label={t.text("photo.after")} />
          </Figure>
        </Row>
        <p>
          <strong>{named ? t(`does.${named.name}`) : t("photo.own")}</strong> {t("photo.numbers", { divisor })}
        </p>
        <Slider id="photo-divisor" label={t.text("photo.divisor")} value={divisor} min={1} max={25} step={1} onChange={onDivisor} />
        <Choice
          id="photo-display"
          label={t.text("photo.display")}
          options={displays.map((value) => ({ value, label: t.text(`display.${value}`) }))}
          value={display}
          onChange={setDisplay}
        />
        <Row>
          <Result id="photo-sum" label={t.text("photo.sum")} value={sum(kernel)} />
          <Result id="photo-below" label={t.text("photo.below")} value={100 * filtered.below} digits={1} />
          <Result id="photo-above" label={t.text("photo.above")} value={100 * filtered.above} digits={1} />
        </Row>
        <PhotoInput id="photo-own" size={160} label={t.text("photo.own_photo")} onPixels={onPhoto} />
      </Panel>
    </Step>
  );
}

function OnePixel({ t, pixels, kernel }: { t: T; pixels: Pixels; kernel: Matrix }) {
  const [height, width] = [pixels.length, pixels[0]!.length];
  const [place, setPlace] = useState([Math.floor(0.4 * height), Math.floor(0.5 * width)]);
  const [row, column] = [Math.min(place[0]!, height - 2), Math.min(place[1]!, width - 2)];
  const grey = useMemo(
    () => pixels.map((line) => line.map((pixel) => Math.round((pixel[0]! + pixel[1]! + pixel[2]!) / 3))),
    [pixels],
  );
  const shown = useMemo(() => grey.map((line) => line.map((value) => value / 255)), [grey]);
  const seen = under(grey, row - 1, column - 1, 3, 3);
  const products = seen.map((line, r) => line.map((value, c) => value * kernel[r]![c]!));
  const onPointer = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const inside = (share: number, length: number) => Math.min(length - 2, Math.max(1, Math.floor(share * length)));
    setPlace([
      inside((event.clientY - box.top) / box.height, height),
      inside((event.clientX - box.left) / box.width, width),
    ]);
  };
  const percent = (value: number, of: number) => `${(100 * value) / of}%`;
  return (
    <Step id="pixel" title={t.text("pixel.title")}>
      <p>{t("pixel.text")}</p>
      <Panel>
        <Row>
          <Figure caption={t("pixel.point")}>
            <div style={{ position: "relative", cursor: "crosshair", width: "fit-content", maxWidth: "100%" }} onPointerDown={onPointer}>
              <Picture pixels={shown} zoom={zoomOf(pixels)} label={t.text("pixel.grey")} />
              <span
                style={{
                  position: "absolute", boxSizing: "border-box", outline: "3px solid var(--minus)", pointerEvents: "none",
                  top: percent(row - 1, height), left: percent(column - 1, width), height: percent(3, height), width: percent(3, width),
                }}
              />
            </div>
          </Figure>
          <div>
            <Slider id="pixel-row" label={t.text("pixel.row")} value={row} min={1} max={height - 2} step={1} onChange={(to) => setPlace([to, column])} />
            <Slider id="pixel-column" label={t.text("pixel.column")} value={column} min={1} max={width - 2} step={1} onChange={(to) => setPlace([row, to])} />
          </div>
        </Row>
        <Row>
          <Figure caption={t("pixel.seen")}>
            <Grid id="pixel-seen" values={seen} colour="grey" max={255} label={t.text("pixel.seen")} />
          </Figure>
          <Sign>×</Sign>
          <Figure caption={t("photo.kernel")}>
            <Grid values={kernel} digits={kernel.flat().every(Number.isInteger) ? 0 : 2} label={t.text("photo.kernel")} />
          </Figure>
          <Sign>=</Sign>
          <Figure caption={t("pixel.products")}>
            <Grid id="pixel-products" values={products} digits={0} label={t.text("pixel.products")} />
          </Figure>
          <Result id="pixel-sum" label={t.text("pixel.sum")} value={sum(products)} digits={0} />
        </Row>
      </Panel>
    </Step>
  );
}

function Sums({ t, kernels }: { t: T; kernels: Kernel[] }) {
  const [flat, setFlat] = useState(100);
  return (
    <Step id="sums" title={t.text("sums.title")}>
      <p>{t("sums.text")}</p>
      <Predict id="sums-predict" ask={t("sums.ask", { flat })} options={[n(flat), n(0), n(9 * flat)]} answer={1}>
        <p>{t("sums.why", { flat })}</p>
      </Predict>
      <Slider id="sums-flat" label={t.text("sums.flat")} value={flat} min={0} max={255} step={1} onChange={setFlat} />
      <DataTable
        id="sums-table"
        label={t.text("sums.table")}
        head={[t("sums.kernel"), t("sums.sum"), t("sums.result"), t("sums.meaning")]}
        rows={kernels.map((kernel) => [
          t(`kernel.${kernel.name}`),
          kernel.sum,
          kernel.sum * flat,
          t(Math.abs(kernel.sum) < 1e-9 ? "sums.zero" : "sums.one"),
        ])}
      />
    </Step>
  );
}

function Strength({ t, pixels, identity, blur }: { t: T; pixels: Pixels; identity: Kernel; blur: Kernel }) {
  const [strength, setStrength] = useState(1);
  const kernel = identity.numbers.map((row, r) =>
    row.map((value, c) => value + strength * (value - blur.numbers[r]![c]! / blur.divisor)),
  );
  const colours = useMemo(() => paddedColours(pixels), [pixels]);
  const filtered = useMemo(() => filterColours(colours, kernel, "cut"), [colours, strength]);
  return (
    <Step id="strength" title={t.text("strength.title")}>
      <p>{t("strength.text")}</p>
      <Panel>
        <Slider id="strength-slider" label={t.text("strength.slider")} value={strength} min={-1} max={4} step={0.25} onChange={setStrength} />
        <Row>
          <Grid id="strength-kernel" values={kernel} digits={2} label={t.text("photo.kernel")} />
          <Picture pixels={filtered.pixels} zoom={zoomOf(pixels)} label={t.text("photo.after")} />
        </Row>
        <p>{t(strength < 0 ? "strength.less" : strength > 0 ? "strength.more" : "strength.none", { blur: -1 })}</p>
      </Panel>
    </Step>
  );
}

function Edges({ t, data, sobel }: { t: T; data: any; sobel: Kernel }) {
  const weights = sobel.numbers.map((row) => row[row.length - 1]!);
  const line: number[] = data.edge[0];
  const step = Math.max(...line) - Math.min(...line);
  return (
    <Step id="question" title={t.text("ask.title")}>
      <Question
        id="question-edges"
        ask={
          <>
            {t("ask.ask")}
            <Row>
              <Figure caption={t("ask.image")}>
                <Grid values={data.edge} colour="grey" max={step} size="small" label={t.text("ask.image")} />
              </Figure>
              <Figure caption={t("kernel.sobel_x")}>
                <Grid values={sobel.numbers} size="small" label={t.text("kernel.sobel_x")} />
              </Figure>
            </Row>
          </>
        }
      >
        <Row>
          <Figure caption={t("kernel.sobel_x")}>
            <Grid id="question-x" values={data.edge_x} size="small" label={t.text("kernel.sobel_x")} />
          </Figure>
          <Figure caption={t("kernel.sobel_y")}>
            <Grid id="question-y" values={data.edge_y} size="small" label={t.text("kernel.sobel_y")} />
          </Figure>
        </Row>
        <p>{t("ask.answer", { weights: weights.map((value) => n(value)).join(" + "), step, result: sum([weights]) * step })}</p>
      </Question>
    </Step>
  );
}
