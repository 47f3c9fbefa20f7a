import {
  Button, Choice, DataTable, Fact, Figure, Grid, LiveControls, LiveOnly, Panel, Picture, Plot, Predict, Question, Result, Row, Sign,
  Slider, Slip, Step, n, useLive, type LessonProps, type Live, type T,
} from "@parts";
import { averagePool, maxPool, type Matrix } from "@math";
import { useMemo, useState } from "preact/hooks";
import { FieldsOnPicture, Pyramid, heat } from "./drawings";
import { layerFields, MOST_LAYERS, parseStack, type Layer } from "./stack";

export default function Page({ data, t, live }: LessonProps) {
  const [text, setText] = useState<string>(data.stack);
  const scene: number[][][] = useMemo(
    () => data.scene.map((row: number[][]) => row.map((pixel) => pixel.map((value) => value / 255))),
    [data.scene],
  );
  return (
    <>
      <Pooling t={t} start={data.map} />
      <Shift t={t} start={data.map} />
      <Global t={t} start={data.maps} classes={data.classes} />
      <Threes t={t} threes={data.threes} />
      <Equal t={t} equal={data.equal} />
      <Stack t={t} text={text} onText={setText} scene={scene} />
      <Effective t={t} data={data} />
      <OwnField t={t} live={live} text={text} />
      <Depth t={t} vgg={data.vgg} />
    </>
  );
}

type Kind = "max" | "average";
const POOL = { max: maxPool, average: averagePool };
const mean = (map: Matrix) => map.flat().reduce((sum, value) => sum + value, 0) / map.flat().length;
const shifted = (map: Matrix, by: number) => map.map((row) => row.map((_, c) => row[c - by] ?? 0));

function Pooling({ t, start }: { t: T; start: Matrix }) {
  const [map, setMap] = useState<Matrix>(start);
  const [kind, setKind] = useState<Kind>("max");
  const [stride, setStride] = useState(2);
  const [place, setPlace] = useState<[number, number]>([0, 0]);
  const size = 2;
  const pooled = POOL[kind](map, { size, stride });
  const [row, column] = [Math.min(place[0], pooled.length - 1), Math.min(place[1], pooled[0]!.length - 1)];
  const seen = map.slice(row * stride, row * stride + size).flatMap((line) => line.slice(column * stride, column * stride + size));
  const first = start.slice(0, size).flatMap((line) => line.slice(0, size));
  const firstMean = mean([first]);
  return (
    <Step id="pool" title={t.text("pool.title")}>
      <p>{t("pool.text")}</p>
      <Predict
        id="pool-predict"
        ask={t("pool.ask", { values: first.map((value) => n(value)).join(", ") })}
        options={[
          t("pool.option", { max: Math.max(...first), average: firstMean }),
          t("pool.option", { max: first.reduce((sum, value) => sum + value, 0), average: firstMean }),
          t("pool.option", { max: Math.max(...first), average: Math.min(...first) }),
        ]}
        answer={0}
      >
        <p>{t("pool.why", { max: Math.max(...first), sum: first.reduce((sum, value) => sum + value, 0), count: first.length, average: firstMean })}</p>
      </Predict>
      <Panel id="pool-try">
        <Choice<Kind>
          id="pool-kind"
          label={t.text("pool.kind")}
          options={(["max", "average"] as const).map((value) => ({ value, label: t.text(`pool.${value}`) }))}
          value={kind}
          onChange={setKind}
        />
        <Slider id="pool-stride" label={t.text("pool.stride")} value={stride} min={1} max={2} step={1} onChange={setStride} />
        <Row>
          <Figure caption={t("pool.map")}>
            <Grid
              id="pool-map"
              values={map}
              onChange={setMap}
              mark={(r, c) =>
                r >= row * stride && r < row * stride + size && c >= column * stride && c < column * stride + size ? "window" : undefined
              }
              label={t.text("pool.map")}
            />
          </Figure>
          <Sign>→</Sign>
          <Figure caption={t("pool.result")}>
            <Grid
              id="pool-result"
              values={pooled}
              onPoint={(r, c) => setPlace([r, c])}
              pointed={[row, column]}
              mark={(r, c) => (r === row && c === column ? "result" : undefined)}
              label={t.text("pool.result")}
            />
          </Figure>
        </Row>
        <p data-id="pool-sentence">
          {t(kind === "max" ? "pool.of_max" : "pool.of_mean", {
            values: seen.map((value) => n(value)).join(", "),
            result: pooled[row]![column]!,
          })}
        </p>
      </Panel>
      <Slip k="lenet_pooling" />
    </Step>
  );
}

function Shift({ t, start }: { t: T; start: Matrix }) {
  const [shift, setShift] = useState(1);
  const pooled = maxPool(start);
  const after = maxPool(shifted(start, shift));
  const same = after.flat().filter((value, index) => value === pooled.flat()[index]).length;
  return (
    <Step id="shift" title={t.text("shift.title")}>
      <p>{t("pool.shift")}</p>
      <Panel id="pool-shifting">
        <Slider id="pool-shift" label={t.text("pool.by")} value={shift} min={0} max={2} step={1} onChange={setShift} />
        <Row>
          <Figure caption={t("pool.shifted")}>
            <Grid values={shifted(start, shift)} label={t.text("pool.shifted")} />
          </Figure>
          <Sign>→</Sign>
          <Figure caption={t("shift.pooled")}>
            <Grid
              id="pool-shifted"
              values={after}
              mark={(r, c) => (after[r]?.[c] !== undefined && after[r][c] === pooled[r]?.[c] ? "result" : undefined)}
              label={t.text("shift.pooled")}
            />
          </Figure>
          <Result id="pool-same" label={t.text("pool.same", { of: after.flat().length })} value={same} />
        </Row>
        <p>{t("pool.tolerant")}</p>
      </Panel>
    </Step>
  );
}

function Global({ t, start, classes }: { t: T; start: Matrix[]; classes: number }) {
  const [maps, setMaps] = useState<Matrix[]>(start);
  const [count, each] = [maps.length, maps[0]!.flat().length];
  return (
    <Step id="global" title={t.text("global.title")}>
      <p>{t("global.text", { count })}</p>
      <Panel id="global-try">
        <Row>
          {maps.map((map, index) => (
            <Figure key={index} caption={<Result id={`global-mean-${index}`} label={t.text("global.mean")} value={mean(map)} />}>
              <Grid
                id={`global-map-${index}`}
                values={map}
                onChange={(to) => setMaps(maps.map((old, other) => (other === index ? to : old)))}
                full={9}
                size="small"
                label={t.text("global.map", { number: index + 1 })}
              />
            </Figure>
          ))}
        </Row>
        <p>{t("global.vector", { vector: maps.map((map) => n(mean(map))).join(", ") })}</p>
      </Panel>
      <p>{t("global.compare", { classes })}</p>
      <DataTable
        id="global-table"
        label={t.text("global.table")}
        head={[t("global.way"), t("global.values"), t("global.parameters")]}
        rows={[
          [t("global.flatten"), count * each, count * each * classes + classes],
          [t("global.average"), count, count * classes + classes],
        ]}
      />
      <p>{t("global.loses")}</p>
    </Step>
  );
}

const layersOf = (name: string, depth: number): Layer[] => parseStack(new Array<string>(depth).fill(name).join(",")).layers;

function Threes({ t, threes }: { t: T; threes: number[] }) {
  const [depth, setDepth] = useState(2);
  const layers = layersOf("3x3", depth);
  const asked = 3;
  return (
    <Step id="field" title={t.text("field.title")}>
      <p>{t("field.text")}</p>
      <Predict
        id="field-predict"
        ask={t("field.ask")}
        options={[asked * 3, threes[asked - 1]!, threes[asked - 2]!].map((value) => `${n(value)}×${n(value)}`)}
        answer={1}
      >
        <p>{t("field.why", { fields: threes.slice(0, asked).map((value) => n(value)).join(", ") })}</p>
      </Predict>
      <Panel id="field-try">
        <Slider id="field-depth" label={t.text("field.depth")} value={depth} min={1} max={threes.length} step={1} onChange={setDepth} />
        <Pyramid id="field-drawing" layers={layers} image={t.text("field.image")} label={t.text("field.drawing", { field: threes[depth - 1]! })} />
        {layerFields(layers).map(({ formula, field }, index) => (
          <p key={index} data-id={`field-${index}`} data-value={field} style={{ margin: 0 }}>
            {t("field.layer", { number: index + 1 })} {formula} = <strong>{n(field)}</strong>
          </p>
        ))}
      </Panel>
    </Step>
  );
}

interface EqualStack {
  name: string;
  weights: number;
  layers: number;
  seen: number;
}

function Equal({ t, equal }: { t: T; equal: Record<string, EqualStack[]> }) {
  const [field, setField] = useState("5");
  const five = equal["5"]!;
  return (
    <Step id="equal" title={t.text("equal.title")}>
      <p>{t("equal.text")}</p>
      <Predict id="equal-predict" ask={t("equal.ask")} options={[t("equal.one"), t("equal.two"), t("equal.all")]} answer={2}>
        <p>{t("equal.why", { large: five[0]!.weights, small: five.find((one) => one.layers === 2)!.weights })}</p>
      </Predict>
      <Choice
        id="equal-field"
        label={t.text("equal.choose")}
        options={Object.keys(equal).map((value) => ({ value, label: `${value}×${value}` }))}
        value={field}
        onChange={setField}
      />
      <DataTable
        id="equal-table"
        label={t.text("equal.table")}
        head={[t("equal.stack"), t("equal.layers"), t("equal.weights"), t("equal.seen", { of: Number(field) ** 2 })]}
        rows={equal[field]!.map((one) => [<code style={{ whiteSpace: "nowrap" }}>{one.name}</code>, one.layers, one.weights, one.seen])}
      />
      <p>{t("equal.gaps")}</p>
    </Step>
  );
}

function Stack({ t, text, onText, scene }: { t: T; text: string; onText: (text: string) => void; scene: number[][][] }) {
  const { layers } = parseStack(text);
  const fields = layerFields(layers);
  const last = fields.at(-1)?.field ?? 1;
  const add = (name: string) => onText(text.trim() ? `${text},${name}` : name);
  return (
    <Step id="stack" title={t.text("stack.title")}>
      <p>{t("stack.text")}</p>
      <Panel id="stack-try">
        <label>
          {t("stack.layers")}{" "}
          <input
            data-id="stack-text"
            class="stack-text"
            value={text}
            spellcheck={false}
            onInput={(event) => onText(event.currentTarget.value)}
            style={{ width: "100%", boxSizing: "border-box", font: "1rem var(--mono)", padding: "8px 10px" }}
          />
        </label>
        <Row>
          {["3x3", "5x5", "3x3d2", "3x3/2", "pool2"].map((name) => (
            <Button key={name} quiet id={`stack-add-${name.replace("/", "-")}`} onClick={() => add(name)}>
              + {name}
            </Button>
          ))}
          <Button quiet id="stack-remove" disabled={!text.trim()} onClick={() => onText(text.split(",").slice(0, -1).join(","))}>
            {t("stack.remove")}
          </Button>
        </Row>
        <StackProblem t={t} text={text} />
        {fields.length > 0 && (
          <>
            <DataTable
              id="stack-table"
              label={t.text("stack.table")}
              head={[t("stack.layer"), t("stack.kind"), t("stack.jump"), t("stack.formula"), t("stack.field")]}
              rows={fields.map(({ layer, jump, formula, field }) => [<code>{layer.name}</code>, t(`stack.${layer.kind}`), jump, formula, field])}
            />
            <Result id="stack-field" label={t.text("stack.sees")} value={last} />
            <Row align="top">
              <div style={{ flex: "1 1 300px" }}>
                <Pyramid layers={layers} image={t.text("field.image")} label={t.text("field.drawing", { field: last })} />
              </div>
              <Figure caption={t("stack.frames")}>
                <FieldsOnPicture pixels={scene} layers={layers} label={t.text("stack.picture")} />
              </Figure>
            </Row>
          </>
        )}
        <p>{t("stack.command", { command: <code>{`hubel conv --stack "${text}"`}</code> })}</p>
      </Panel>
    </Step>
  );
}

interface Measured {
  depth: number;
  field: number;
  size: number;
  gradient: Matrix;
}

function Effective({ t, data }: { t: T; data: any }) {
  const effective: Measured[] = data.effective;
  const [depth, setDepth] = useState(effective.at(-1)!.depth);
  const shown = effective.find((one) => one.depth === depth)!;
  return (
    <Step id="effective" title={t.text("effective.title")}>
      <p>{t("effective.text")}</p>
      <Figure caption={t("effective.ways")}>
        <Grid id="effective-paths" values={data.paths} label={t.text("effective.ways_label")} />
      </Figure>
      <p>{t("effective.gradient")}</p>
      <Panel id="effective-try">
        <Choice
          id="effective-depth"
          label={t.text("effective.depth")}
          options={effective.map((one) => ({ value: one.depth, label: n(one.depth) }))}
          value={depth}
          onChange={setDepth}
        />
        <Row>
          <Figure caption={t("effective.map", { field: `${n(shown.field)}×${n(shown.field)}` })}>
            <Picture pixels={heat(shown.gradient)} zoom={264 / shown.field} label={t.text("effective.label")} />
          </Figure>
          <div>
            <Result id="effective-field" label={t.text("effective.theory")} value={shown.field} />
            <br />
            <Result id="effective-size" label={t.text("effective.size")} value={shown.size} digits={1} />
          </div>
          <Plot
            id="effective-plot"
            label={t.text("effective.plot")}
            xLabel={t.text("effective.depth")}
            yLabel={t.text("effective.pixels")}
            lines={[
              { label: t.text("effective.theory"), points: effective.map((one) => [one.depth, one.field]) },
              { label: t.text("effective.size"), points: effective.map((one) => [one.depth, one.size]) },
            ]}
          />
        </Row>
        <p>{t("effective.root")}</p>
      </Panel>
    </Step>
  );
}

/** What is wrong with a stack, if anything is. */
function StackProblem({ t, text }: { t: T; text: string }) {
  const { wrong, many } = parseStack(text);
  if (wrong === undefined && many === undefined) return null;
  return (
    <p class="problem" role="alert">
      {many ? t("stack.many", { many, most: MOST_LAYERS }) : t(wrong ? "stack.wrong" : "stack.empty", { word: wrong! })}
    </p>
  );
}

function OwnField({ t, live, text }: { t: T; live: Live; text: string }) {
  const own = useLive<{ networks: number; field: number; size: number; gradient: Matrix }>(live, "field");
  const latest = own.rows.at(-1);
  const { wrong, many } = parseStack(text);
  return (
    <Step id="own-stack" title={t.text("effective.own")}>
      <LiveOnly live={live} t={t}>
        <p>{t("effective.own_text", { stack: <code>{text}</code> })}</p>
        {wrong === undefined && many === undefined ? (
          <LiveControls
            id="own"
            label={t.text("effective.start")}
            running={own.running}
            error={own.error}
            onStart={() => own.start({ stack: text })}
            onStop={own.stop}
          />
        ) : (
          <StackProblem t={t} text={text} />
        )}
        {latest && (
          <Row id="own-result">
            <Figure caption={t("effective.networks", { networks: latest.networks })}>
              <Picture pixels={heat(latest.gradient)} zoom={264 / latest.field} label={t.text("effective.label")} />
            </Figure>
            <Result id="own-field" label={t.text("effective.theory")} value={latest.field} />
            <Result id="own-size" label={t.text("effective.size")} value={latest.size} digits={1} />
          </Row>
        )}
      </LiveOnly>
    </Step>
  );
}

function Depth({ t, vgg }: { t: T; vgg: any }) {
  return (
    <Step id="question" title={t.text("ask.title")}>
      <Question id="question-vgg" ask={t("ask.ask", { convolutions: vgg.convolutions, image: <Fact name="vgg_image" /> })}>
        <p>{t("ask.alone", { convolutions: vgg.convolutions, alone: vgg.alone, image: <Fact name="vgg_image" />, needed: vgg.needed })}</p>
        <p>{t("ask.answer", { field: vgg.field })}</p>
      </Question>
    </Step>
  );
}
