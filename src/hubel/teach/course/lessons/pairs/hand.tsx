import { Button, DataTable, Fact, Figure, Formula, Grid, Panel, Predict, Question, Result, Row, Slider, n, type LessonProps } from "@parts";
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { contrast } from "./contrast";

const LOSS =
  "L = -\\frac{1}{2n} \\sum_{i} \\left( \\ln \\frac{e^{s_{ii} / \\tau}}{\\sum_{j} e^{s_{ij} / \\tau}} + \\ln \\frac{e^{s_{ii} / \\tau}}{\\sum_{j} e^{s_{ji} / \\tau}} \\right)";

/** A figure whose caption is about as wide as a small grid. */
function Narrow({ caption, children }: { caption: ComponentChildren; children: ComponentChildren }) {
  return (
    <div style={{ maxWidth: "200px" }}>
      <Figure caption={caption}>{children}</Figure>
    </div>
  );
}

/** The contrastive loss of three pairs, every number of which can be changed. */
export function Hand({ data, t }: LessonProps) {
  const start = data.hand;
  const [pictures, setPictures] = useState<number[][]>(start.pictures);
  const [sentences, setSentences] = useState<number[][]>(start.sentences);
  const [temperature, setTemperature] = useState<number>(start.temperature);
  const { similar, rows, columns, loss } = useMemo(() => contrast(pictures, sentences, temperature), [pictures, sentences, temperature]);
  const diagonal = (row: number, column: number) => (row === column ? ("result" as const) : undefined);
  const reset = () => {
    setPictures(start.pictures);
    setSentences(start.sentences);
    setTemperature(start.temperature);
  };
  const asked = data.sizes[1];
  return (
    <>
      <p>{t("hand.intro")}</p>
      <Formula tex={LOSS} />
      <p>{t("hand.where")}</p>
      <p>{t("hand.try")}</p>
      <Panel>
        <Row align="top">
          <Narrow caption={t("hand.pictures")}>
            <Grid id="pictures" values={pictures} onChange={setPictures} min={-9} max={9} step={0.5} label={t.text("hand.pictures")} />
          </Narrow>
          <Narrow caption={t("hand.sentences")}>
            <Grid id="sentences" values={sentences} onChange={setSentences} min={-9} max={9} step={0.5} label={t.text("hand.sentences")} />
          </Narrow>
          <Narrow caption={t("hand.similar")}>
            <Grid id="similar" values={similar} digits={2} full={1} mark={diagonal} label={t.text("hand.similar")} colour="diverging" />
          </Narrow>
        </Row>
        <Slider id="temperature" label={t.text("hand.temperature")} value={temperature} min={0.05} max={2} step={0.05} onChange={setTemperature} />
        <Row align="top">
          <Narrow caption={t("hand.rows")}>
            <Grid id="rows" values={rows} digits={3} full={1} mark={diagonal} label={t.text("hand.rows")} colour="diverging" />
          </Narrow>
          <Narrow caption={t("hand.columns")}>
            <Grid id="columns" values={columns} digits={3} full={1} mark={diagonal} label={t.text("hand.columns")} colour="diverging" />
          </Narrow>
          <Result id="hand-loss" label={t.text("hand.loss")} value={loss} digits={4} />
        </Row>
        <Row>
          <Button id="match" onClick={() => setSentences(pictures)}>
            {t("hand.match")}
          </Button>
          <Button id="reset" onClick={reset}>
            {t("hand.reset")}
          </Button>
        </Row>
      </Panel>
      <Predict
        id="even-loss"
        ask={t("hand.ask", { n: asked })}
        options={[t("hand.zero"), t("hand.half", { value: n(Math.log(2), 3) }), t("hand.log", { value: n(Math.log(asked), 3) })]}
        answer={2}
      >
        <p>{t("hand.seen", { n: asked })}</p>
        <DataTable
          id="start-losses"
          label={t.text("hand.start")}
          head={[t("hand.size"), t("hand.start")]}
          rows={data.sizes.map((size: number) => [size, n(Math.log(size), 3)])}
        />
        <p>{t("hand.big", { batch: <Fact name="batch" />, temperature: <Fact name="temperature" />, scale: <Fact name="scale" /> })}</p>
      </Predict>
      <Question id="cold" ask={t("hand.question")}>
        <p>{t("hand.answer")}</p>
      </Question>
    </>
  );
}
