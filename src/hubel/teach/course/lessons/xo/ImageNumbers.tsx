import { Choice, DataTable, Figure, Grid, Panel, Row, Step, n } from "@parts";
import { matchScore } from "@math";
import { useState } from "preact/hooks";
import { useLab } from "./state";

type Coding = "binary" | "signed";
const PAPER: Record<Coding, number> = { binary: 0, signed: -1 };

export function ImageNumbers() {
  const { t, data } = useLab();
  const [coding, setCoding] = useState<Coding>("binary");
  const paper = PAPER[coding];
  const coded = (image: number[][]) => recoded(image, paper);
  return (
    <Step id="numbers" title={t.text("numbers.title")}>
      <p>{t("numbers.text", { height: data.x.length, width: data.x[0].length })}</p>
      <Panel>
        <Choice
          id="coding"
          label={t.text("numbers.coding")}
          options={(["binary", "signed"] as const).map((value) => ({
            value,
            label: t.text("numbers.pair", { ink: n(1), paper: n(PAPER[value]) }),
          }))}
          value={coding}
          onChange={setCoding}
        />
        <Row align="top">
          {(["x", "o"] as const).map((name) => (
            <Figure key={name} title={t(`image.${name}`)}>
              <Grid id={`numbers-${name}`} values={coded(data[name])} colour="ink" label={t.text(`numbers.${name}`)} />
            </Figure>
          ))}
        </Row>
      </Panel>
      <p>{t("numbers.why", { one: 1, zero: 0, minus: -1 })}</p>
      <CodingTable pattern={data.weights.patterns[0]} />
      <p>{t("numbers.therefore", { one: 1, zero: 0, minus: -1 })}</p>
    </Step>
  );
}

/** How well three windows match the falling stroke, in both codings. */
function CodingTable({ pattern }: { pattern: number[][] }) {
  const { t } = useLab();
  const windows = {
    stroke: pattern,
    all: pattern.map((row) => row.map(() => 1)),
    none: pattern.map((row) => row.map(() => -1)),
  };
  const score = (window: number[][], coding: Coding) =>
    matchScore(recoded(window, PAPER[coding]), recoded(pattern, PAPER[coding]));
  return (
    <DataTable
      id="coding-table"
      label={t.text("numbers.table")}
      head={[
        t("numbers.window"),
        t("numbers.score", { ink: 1, paper: PAPER.binary }),
        t("numbers.score", { ink: 1, paper: PAPER.signed }),
      ]}
      rows={Object.entries(windows).map(([name, window]) => [
        <span class="row inline">
          <Grid size="small" colour="ink" values={window} label={t.text(`numbers.window.${name}`)} />
          {t(`numbers.window.${name}`)}
        </span>,
        score(window, "binary"),
        score(window, "signed"),
      ])}
    />
  );
}

const recoded = (image: number[][], paper: number) => image.map((row) => row.map((pixel) => (pixel > 0 ? 1 : paper)));
