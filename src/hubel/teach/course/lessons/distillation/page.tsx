import {
  Bars, Choice, DataTable, Figure, Formula, Grid, LiveControls, LiveOnly, Panel, Picture, Plot, Predict, Question,
  Result, Row, Slider, Step, n, useLive, type LessonProps,
} from "@parts";
import { useState } from "preact/hooks";
import { entropy, ranked, softened } from "./softened";

interface Progress {
  step: number;
  alone: number;
  taught: number;
  agreement: number;
}

/** What soft targets contain, what temperature does to them, and how a small network learns from them. */
export default function Page(props: LessonProps) {
  const { t } = props;
  const parts = { says: Says, temperature: Temperature, similar: Similar, scale: Scale, teach: Teach };
  return (
    <>
      {Object.entries(parts).map(([id, Content]) => (
        <Step key={id} id={id} title={t.text(`${id}.title`)}>
          <Content {...props} />
        </Step>
      ))}
    </>
  );
}

const bars = (values: number[]) => values.map((value, digit) => ({ label: String(digit), value }));

function Says({ data, t }: LessonProps) {
  const [shown, setShown] = useState(1); // not the one that is asked for
  const logits: number[] = data.logits[shown];
  const label: number = data.labels[shown];
  const hard = logits.map((_, digit) => Number(digit === label));
  const soft = softened(logits, data.temperatures[0]);
  const [first, second] = ranked(soft);
  const asked: number[] = data.logits[0];
  const [, likest, other] = ranked(asked);
  return (
    <>
      <p>{t("says.intro", { training: data.training, test: data.test, parameters: data.teacher_parameters, accuracy: n(100 * data.accuracy, 1) })}</p>
      <Figure>
        <Picture pixels={data.pictures[0]} zoom={12} label={t.text("picture", { label: data.labels[0] })} />
      </Figure>
      <Predict
        id="second"
        ask={t("says.ask", { label: data.labels[0] })}
        options={[t("says.option", { digit: other! }), t("says.option", { digit: likest! }), t("says.none")]}
        answer={1}
      >
        <p>{t("says.seen", { digit: likest!, share: n(100 * softened(asked, data.temperatures[0])[likest!]!, 1) })}</p>
      </Predict>
      <p>{t("says.try")}</p>
      <Panel>
        <Choice
          id="shown"
          label={t.text("says.choose")}
          value={shown}
          onChange={setShown}
          options={data.labels.map((digit: number, at: number) => ({ value: at, label: String(digit) }))}
        />
        <Row>
          <Figure>
            <Picture pixels={data.pictures[shown]} zoom={12} label={t.text("picture", { label })} />
          </Figure>
          <div>
            <p>{t("says.hard")}</p>
            <Bars id="hard" bars={bars(hard)} full={1} digits={3} label={t.text("says.hard")} />
          </div>
          <div>
            <p>{t("says.soft")}</p>
            <Bars id="soft" bars={bars(soft)} full={1} digits={3} label={t.text("says.soft")} />
          </div>
        </Row>
      </Panel>
      <p>{t("says.after", { first: first!, second: second!, share: n(soft[second!]!, 3) })}</p>
    </>
  );
}

function Temperature({ data, t }: LessonProps) {
  const temperatures: number[] = data.temperatures;
  const [shown, setShown] = useState(0);
  const [temperature, setTemperature] = useState(temperatures[1]!);
  const logits: number[] = data.logits[shown];
  const soft = softened(logits, temperature);
  const [first, second] = ranked(logits);
  const gap = logits[first!]! - logits[second!]!;
  return (
    <>
      <p>{t("temperature.intro")}</p>
      <Formula tex={"p_i(T) = \\frac{e^{z_i / T}}{\\sum_j e^{z_j / T}}"} />
      <p>{t("temperature.try")}</p>
      <Panel>
        <Choice
          id="softened"
          label={t.text("says.choose")}
          value={shown}
          onChange={setShown}
          options={data.labels.map((digit: number, at: number) => ({ value: at, label: String(digit) }))}
        />
        <Slider id="t" label={t.text("temperature.t")} value={temperature} min={temperatures[0]!} max={temperatures.at(-1)!} step={0.5} onChange={setTemperature} />
        <Row>
          <Figure>
            <Picture pixels={data.pictures[shown]} zoom={12} label={t.text("picture", { label: data.labels[shown] })} />
          </Figure>
          <Bars id="softened-bars" bars={bars(soft)} full={1} digits={3} label={t.text("temperature.bars")} />
          <Result id="bits" label={t.text("temperature.entropy")} value={entropy(soft)} digits={2} />
        </Row>
      </Panel>
      <DataTable
        id="temperatures"
        label={t.text("temperature.table")}
        head={[t("temperature.t"), t("temperature.first", { digit: first! }), t("temperature.second", { digit: second! }), t("temperature.ratio"), t("temperature.entropy")]}
        rows={temperatures.map((at) => {
          const p = softened(logits, at);
          return [String(at), p[first!]!, p[second!]!, p[first!]! / p[second!]!, entropy(p)];
        })}
      />
      <p>{t("temperature.after", { most: n(Math.log2(logits.length), 2), classes: logits.length, low: temperatures[0]!, high: temperatures.at(-1)! })}</p>
      <Question id="ratio" ask={t("temperature.ask", { first: first!, second: second!, one: n(logits[first!]!, 2), two: n(logits[second!]!, 2), t: temperatures[1]! })}>
        <p>{t("temperature.answer", { gap: n(gap, 2), t: temperatures[1]!, ratio: n(Math.exp(gap / temperatures[1]!), 2) })}</p>
        <Formula tex={"\\frac{p_i(T)}{p_j(T)} = e^{(z_i - z_j) / T}"} />
      </Question>
    </>
  );
}

function Similar({ data, facts, t }: LessonProps) {
  const temperatures: number[] = data.temperatures;
  const [at, setAt] = useState(1);
  const means: number[][] = data.means[at];
  const { label, like, share } = data.pair;
  const others = ranked(data.means[1][label]).filter((digit) => digit !== label && digit !== like);
  return (
    <>
      <p>{t("similar.intro", { test: data.test })}</p>
      <Predict
        id="likest"
        ask={t("similar.ask", { label })}
        options={[others.at(-1)!, like, others.at(-2)!].map((digit) => t("says.option", { digit }))}
        answer={1}
      >
        <p>{t("similar.seen", { label, like, share: n(100 * share, 1), t: temperatures[1]! })}</p>
        <Panel>
          <Choice id="means-t" label={t.text("temperature.t")} value={at} onChange={setAt} options={temperatures.map((value, index) => ({ value: index, label: String(value) }))} />
          <Grid id="means" values={means} colour="diverging" digits={2} size="small" label={t.text("similar.label")} mark={(row, column) => (row === label && column === like ? "result" : undefined)} />
        </Panel>
      </Predict>
      <p>{t("similar.after")}</p>
      <p>{t("similar.paper", { year: String(facts.hinton_year!.value) })}</p>
    </>
  );
}

function Scale({ data, t }: LessonProps) {
  const rows: { temperature: number; plain: number; scaled: number }[] = data.gradients;
  const [low, high] = [rows[0]!, rows.at(-1)!];
  return (
    <>
      <p>{t("scale.intro")}</p>
      <Formula tex={"\\frac{\\partial L}{\\partial z_i} = \\frac{1}{T} \\left( q_i(T) - p_i(T) \\right) \\approx \\frac{1}{n T^2} \\left( z_i - v_i \\right)"} />
      <DataTable
        id="gradients"
        label={t.text("scale.label")}
        head={[t("temperature.t"), t("scale.plain"), t("scale.scaled")]}
        rows={rows.map((row) => [String(row.temperature), row.plain, row.scaled])}
      />
      <p>{t("scale.after", { low: low.temperature, high: high.temperature, less: n(low.plain / high.plain, 0), scaled: n(high.scaled / low.scaled, 1) })}</p>
      <Question id="weight" ask={t("scale.ask")}>
        <p>{t("scale.answer")}</p>
      </Question>
    </>
  );
}

function Teach({ data, t, live }: LessonProps) {
  const [temperature, setTemperature] = useState<number>(data.temperatures[1]);
  const [labelled, setLabelled] = useState<number>(data.labelled[1]);
  const training = useLive<Progress>(live, "teach");
  const latest = training.rows.at(-1);
  const line = (name: "alone" | "taught") => ({
    label: t.text(`teach.${name}`),
    points: training.rows.map((row): [number, number] => [row.step, 100 * row[name]]),
  });
  const choices = (values: number[]) => values.map((value) => ({ value, label: n(value) }));
  return (
    <>
      <p>{t("teach.intro", { parameters: data.student_parameters, ratio: n(data.teacher_parameters / data.student_parameters, 1), training: data.training })}</p>
      <Panel>
        <Choice id="labelled" label={t.text("teach.labelled")} value={labelled} onChange={setLabelled} options={choices(data.labelled)} />
        <Choice id="teach-t" label={t.text("temperature.t")} value={temperature} onChange={setTemperature} options={choices(data.temperatures)} />
        <LiveOnly live={live} t={t}>
          <LiveControls id="teaching" running={training.running} error={training.error} onStart={() => training.start({ temperature, labelled })} onStop={training.stop} label={t.text("teach.start")} />
          <Plot lines={[line("alone"), line("taught")]} yRange={[0, 100]} xLabel={t.text("teach.step")} yLabel={t.text("teach.accuracy")} label={t.text("teach.title")} />
          <Row>
            <Result id="alone" label={t.text("teach.alone")} value={100 * (latest?.alone ?? Number.NaN)} digits={1} />
            <Result id="taught" label={t.text("teach.taught")} value={100 * (latest?.taught ?? Number.NaN)} digits={1} />
            <Result id="agreement" label={t.text("teach.agreement")} value={100 * (latest?.agreement ?? Number.NaN)} digits={1} />
          </Row>
        </LiveOnly>
      </Panel>
      <p>{t("teach.after", { accuracy: n(100 * data.accuracy, 1) })}</p>
      <Question id="unlabelled" ask={t("teach.ask")}>
        <p>{t("teach.answer")}</p>
      </Question>
    </>
  );
}
