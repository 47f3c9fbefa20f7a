import {
  Bars,
  Choice,
  DataTable,
  Fact,
  LiveControls,
  LiveOnly,
  n,
  Plot,
  Predict,
  Question,
  Result,
  Slider,
  Slip,
  Step,
  useLive,
  type LessonProps,
} from "@parts";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Network {
  name: string;
  built: boolean;
  parameters: number | null;
  macs: number | null;
  input: number[] | null;
}

interface Share {
  wrong: number;
  error: number;
  low: number;
  high: number;
}

interface Person {
  n: number;
  person: Share;
  network: Share;
}

type Axis = "year" | "parameters" | "macs";
type Kind = "top5" | "ensemble";

const GUESSED = ["alexnet", "vgg16", "googlenet", "resnet50_v1", "efficientnet_b0"];
const CONFIDENCE = 95; // percent; the interval of the server's numbers is the same
const Z = 1.959964; // quantile of the normal distribution for this confidence

/** The score interval of a share: Wilson 1927. */
export function wilson(share: number, count: number): [number, number] {
  const middle = share + (Z * Z) / (2 * count);
  const half = Z * Math.sqrt((share * (1 - share)) / count + (Z * Z) / (4 * count * count));
  const scale = 1 + (Z * Z) / count;
  return [(middle - half) / scale, (middle + half) / scale];
}

/** What a narrow table must not break into lines. */
function OneLine({ children }: { children: ComponentChildren }) {
  return <span style={{ whiteSpace: "nowrap" }}>{children}</span>;
}

export default function Page(props: LessonProps) {
  return (
    <>
      <Ideas {...props} />
      <Guess {...props} />
      <Chart {...props} />
      <Numbers {...props} />
      <Compare {...props} />
      <People {...props} />
      <Questions {...props} />
      <Count {...props} />
    </>
  );
}

/** Digits after the point of a number as it is printed. */
const decimals = (value: number) => String(value).split(".")[1]?.length ?? 0;
const networksOf = (data: any) => data.networks as Network[];
const find = (data: any, name: string) => networksOf(data).find((one) => one.name === name)!;
const parametersOf = (data: any, name: string) => find(data, name).parameters ?? 0;
const macsOf = (data: any, name: string) => find(data, name).macs ?? 0;

function Ideas({ data, facts, t }: LessonProps) {
  return (
    <Step id="ideas" title={t.text("ideas.title")}>
      <p>{t("ideas.text")}</p>
      <dl class="ideas" data-id="ideas-list">
        {networksOf(data).map(({ name }) => (
          <>
            <dt>
              <strong>{t(`name.${name}`)}</strong> {String(facts[`${name}.year`]!.value)}
            </dt>
            <dd>{t(`idea.${name}`)}</dd>
          </>
        ))}
      </dl>
    </Step>
  );
}

function Guess({ data, t }: LessonProps) {
  const shown = GUESSED.map((name) => ({ name, value: parametersOf(data, name) }));
  const most = shown.reduce((best, one) => (one.value > best.value ? one : best));
  const resnet = macsOf(data, "resnet152");
  const vgg = macsOf(data, "vgg16");
  return (
    <Step id="guess" title={t.text("guess.title")}>
      <Predict
        id="guess-parameters"
        ask={t("guess.question")}
        options={shown.map(({ name }) => t(`name.${name}`))}
        answer={shown.indexOf(most)}
      >
        <p>{t("guess.shown", { name: t.text(`name.${most.name}`), parameters: most.value })}</p>
        <Bars
          id="guess-bars"
          label={t.text("guess.bars")}
          bars={shown.map(({ name, value }) => ({ label: t.text(`name.${name}`), value }))}
        />
      </Predict>
      <Predict
        id="guess-depth"
        ask={t("depth.question")}
        options={[t("depth.more"), t("depth.same"), t("depth.fewer")]}
        answer={resnet < vgg ? 2 : 0}
      >
        <p>{t("depth.shown", { resnet, vgg })}</p>
      </Predict>
    </Step>
  );
}

function Chart({ data, facts, t }: LessonProps) {
  const [axis, setAxis] = useState<Axis>("year");
  const [kind, setKind] = useState<Kind>("top5");
  const [named, setNamed] = useState("alexnet");
  const place = (one: Network) => (axis === "year" ? facts[`${one.name}.year`]?.value : one[axis]) ?? null;
  const points = networksOf(data)
    .map((one) => ({ name: one.name, x: place(one), y: facts[`${one.name}.${kind}`]?.value }))
    .filter((one): one is { name: string; x: number; y: number } => one.x !== null && one.y !== undefined);
  const xs = points.map(({ x }) => x);
  const person = 100 * (data.people.a1 as Person).person.error;
  const shown = points.find(({ name }) => name === named);
  const label = t.text(`name.${named}`);
  return (
    <Step id="chart" title={t.text("chart.title")}>
      <p>{t("chart.text")}</p>
      <Choice<Axis>
        id="chart-axis"
        label={t.text("chart.axis")}
        value={axis}
        onChange={setAxis}
        options={(["year", "parameters", "macs"] as const).map((value) => ({ value, label: t.text(`chart.${value}`) }))}
      />
      <Choice<Kind>
        id="chart-kind"
        label={t.text("chart.error")}
        value={kind}
        onChange={setKind}
        options={[
          { value: "top5", label: t.text("chart.single") },
          { value: "ensemble", label: t.text("chart.ensemble") },
        ]}
      />
      <Plot
        id="chart-plot"
        label={t.text("chart.alt", { axis: t.text(`chart.${axis}`) })}
        xLabel={t.text(`chart.${axis}`)}
        yLabel={t.text("chart.y")}
        logX={axis !== "year"}
        lines={[
          { label: t.text("chart.networks"), points: points.map(({ x, y }) => [x, y]), scatter: true },
          { label: t.text("chart.person"), points: [[Math.min(...xs), person], [Math.max(...xs), person]] },
        ]}
        marks={shown ? [{ x: shown.x, y: shown.y, label }] : []}
        yRange={[0, 20]}
        height={320}
      />
      <Choice<string>
        id="chart-named"
        label={t.text("chart.show")}
        value={named}
        onChange={setNamed}
        options={networksOf(data)
          .filter(({ name }) => facts[`${name}.top5`] ?? facts[`${name}.ensemble`])
          .map(({ name }) => ({ value: name, label: t.text(`name.${name}`) }))}
      />
      <p data-id="chart-read" data-value={shown?.y} role="status">
        {shown ? t("chart.read", { name: label, error: shown.y }) : t("chart.none", { name: label })}
      </p>
      <p>{t("chart.see")}</p>
    </Step>
  );
}

function Numbers({ data, facts, t }: LessonProps) {
  const [order, setOrder] = useState<Axis>("year");
  const rows = networksOf(data).slice();
  if (order !== "year") rows.sort((one, other) => (other[order] ?? -1) - (one[order] ?? -1));
  const fact = (name: string, least = 0) =>
    facts[name] ? <OneLine><Fact name={name} digits={Math.max(least, decimals(facts[name].value))} /></OneLine> : "–";
  return (
    <Step id="table" title={t.text("table.title")}>
      <p>{t("table.text")}</p>
      <Choice<Axis>
        id="table-order"
        label={t.text("table.sort")}
        value={order}
        onChange={setOrder}
        options={(["year", "parameters", "macs"] as const).map((value) => ({ value, label: t.text(`chart.${value}`) }))}
      />
      <DataTable
        id="table-numbers"
        label={t.text("table.label")}
        head={[
          t("table.network"),
          t("chart.year"),
          t("chart.parameters"),
          t("chart.macs"),
          t("table.top1"),
          t("table.top5"),
          t("table.crops"),
          t("table.ensemble"),
          t("table.members"),
        ]}
        rows={rows.map(({ name, parameters, macs }) => [
          <OneLine>{t(`name.${name}`)}</OneLine>,
          String(facts[`${name}.year`]!.value),
          parameters ?? "–",
          macs ?? "–",
          fact(`${name}.top1`, 1),
          fact(`${name}.top5`, 1),
          fact(`${name}.crops`),
          fact(`${name}.ensemble`, 1),
          fact(`${name}.members`),
        ])}
      />
      <p class="hint">
        {t("table.lenet5", { error: <Fact name="lenet5.digits" />, side: find(data, "lenet5").input?.at(-1) })}
      </p>
      <Slip k="ensemble" />
    </Step>
  );
}

function Compare({ facts, t }: LessonProps) {
  const value = (name: string) => facts[name]!.value;
  const crops = value("resnet152.top5");
  const best = value("resnet152.ensemble");
  return (
    <Step id="compare" title={t.text("compare.title")}>
      <p>{t("compare.text", { many: <Fact name="vgg16.crops" /> })}</p>
      <Bars
        id="compare-bars"
        label={t.text("compare.bars")}
        digits={2}
        bars={[
          { label: t.text("compare.crops", { crops: value("resnet152.crops") }), value: crops },
          { label: t.text("compare.scales"), value: value("resnet152.scales") },
          { label: t.text("compare.ensemble", { members: value("resnet152.members") }), value: best },
        ]}
      />
      <p data-id="compare-difference" data-value={crops - best}>
        {t("compare.see", { difference: n(crops - best, 2) })}
      </p>
    </Step>
  );
}

function People({ data, facts, t }: LessonProps) {
  const [count, setCount] = useState<number>(data.people.a1.n);
  const [wrong, setWrong] = useState(Number(n(100 * data.people.a1.person.error, 1)));
  const people = (["a1", "a2"] as const).map((who) => data.people[who] as Person);
  const cells = ["both", "person", "network", "neither"];
  const [low, high] = wilson(wrong / 100, count);
  const percent = (share: number) => n(100 * share, 1);
  const between = (share: Share) => t("human.to", { low: percent(share.low), high: percent(share.high) });
  return (
    <Step id="human" title={t.text("human.title")}>
      <p>{t("human.text", { n: people[0]!.n })}</p>
      <DataTable
        id="human-table"
        label={t.text("human.table")}
        head={[t("human.table"), t("human.first"), t("human.second")]}
        rows={[
          ...cells.map((cell) => [
            t(`human.${cell}`),
            <OneLine>
              <Fact name={`human.a1.${cell}`} />
            </OneLine>,
            <OneLine>
              <Fact name={`human.a2.${cell}`} />
            </OneLine>,
          ]),
          [t("human.images"), ...people.map((one) => n(one.n))],
          [t("human.error"), ...people.map((one) => percent(one.person.error))],
          [t("human.interval", { confidence: CONFIDENCE }), ...people.map((one) => between(one.person))],
          [t("human.googlenet"), ...people.map((one) => percent(one.network.error))],
        ]}
      />
      <p>{t("human.see")}</p>
      <p>{t("human.try")}</p>
      <Slider id="human-count" label={t.text("human.slider")} value={count} min={50} max={10000} step={50} onChange={setCount} />
      <Slider
        id="human-wrong"
        label={t.text("human.wrong")}
        value={wrong}
        min={0}
        max={20}
        step={0.1}
        onChange={setWrong}
        format={(value) => n(value, 1)}
      />
      <p role="status" data-id="human-interval" data-value={`${low} ${high}`}>
        {t("human.result", { low: percent(low), high: percent(high), confidence: CONFIDENCE })}
      </p>
      <p>
        {t("human.claim", {
          year: String(facts["prelu.year"]!.value),
          error: <Fact name="prelu.ensemble" />,
        })}
      </p>
      <Slip k="human" />
    </Step>
  );
}

function Questions({ data, facts, t }: LessonProps) {
  const parameters = (name: string) => parametersOf(data, name);
  const macs = (name: string) => macsOf(data, name);
  const few = parameters("alexnet") / parameters("googlenet");
  const uses = (name: string) => n(macs(name) / parameters(name), 1);
  const [small, large] = ["efficientnet_b0", "resnet50_v1"] as const;
  return (
    <Step id="questions" title={t.text("questions.title")}>
      <Question id="question-few" ask={t("few.ask", { said: <Fact name="googlenet.fewer" /> })}>
        <p>{t("few.answer", { alexnet: parameters("alexnet"), googlenet: parameters("googlenet"), ratio: n(few, 1) })}</p>
        <Result id="few-ratio" value={few} digits={1} />
      </Question>
      <Question id="question-cost" ask={t("cost.ask")}>
        <p>{t("cost.answer", { alexnet: uses("alexnet"), resnet: uses("resnet50_v1") })}</p>
      </Question>
      <Question id="question-small" ask={t("small.ask")}>
        <p>
          {t("small.answer", {
            parameters: n(parameters(large) / parameters(small), 1),
            macs: n(macs(large) / macs(small), 1),
            small: parameters(small),
            large: parameters(large),
            error: facts[`${small}.top1`]!.value,
            other: facts[`${large}.top1`]!.value,
          })}
        </p>
      </Question>
    </Step>
  );
}

interface Counted {
  name: string;
  parameters: number;
  macs: number;
}

function Count({ data, t, live }: LessonProps) {
  const { rows, running, error, start, stop } = useLive<Counted>(live, "count");
  const same = (row: Counted) => row.parameters === parametersOf(data, row.name) && row.macs === macsOf(data, row.name);
  return (
    <Step id="count" title={t.text("count.title")}>
      <p>{t("count.text")}</p>
      <LiveOnly>
        <LiveControls
          id="count-live"
          label={t.text("count.start")}
          running={running}
          error={error}
          onStart={() => start()}
          onStop={stop}
        />
        {rows.length > 0 && (
          <DataTable
            id="count-table"
            label={t.text("count.label")}
            head={[t("table.network"), t("chart.parameters"), t("chart.macs"), t("count.same")]}
            rows={rows.map((row) => [
              <OneLine>{t(`name.${row.name}`)}</OneLine>,
              row.parameters,
              row.macs,
              t(same(row) ? "count.yes" : "count.no"),
            ])}
          />
        )}
      </LiveOnly>
    </Step>
  );
}
