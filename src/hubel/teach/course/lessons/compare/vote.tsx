import { Bars, Button, Choice, DrawingPad, Figure, Plot, Result, Row, Slider, Step, n, useCourse } from "@parts";
import { useMemo, useState } from "preact/hooks";
import { largest, neighbours, votes } from "./digits";
import { Digit, TestPicture, usePictures } from "./shared";

const MOST = 25; // neighbours that can vote
const SHOWN = 15;

/** The nearest stored pictures vote. */
export function Vote() {
  const { t, data } = useCourse();
  const { train, test, trainLabels, testLabels } = usePictures();
  const blank = useMemo(() => test[0]!.map((row) => row.map(() => 0)), [test]);
  const [source, setSource] = useState<"test" | "own">("test");
  const [index, setIndex] = useState<number>(data.contested);
  const [drawn, setDrawn] = useState(blank);
  const [k, setK] = useState<number>(data.voters);
  const query = source === "test" ? test[index]! : drawn.map((row) => row.map((value) => value * data.levels));
  const empty = query.flat().every((value) => value === 0);
  const sorted = useMemo(() => neighbours(query, train, trainLabels), [source, index, drawn, train, trainLabels]);
  const nearest = sorted.slice(0, k);
  const counts = votes(nearest, data.classes);
  return (
    <Step id="vote" title={t.text("vote.title")}>
      <p>{t("vote.intro", { n: train.length })}</p>
      <Choice
        id="vote-source"
        label={t.text("vote.source")}
        options={(["test", "own"] as const).map((value) => ({ value, label: t.text(`vote.${value}`) }))}
        value={source}
        onChange={setSource}
      />
      {source === "test" ? (
        <>
          <TestPicture id="vote-picture" index={index} onChange={setIndex} />
          <Digit levels={query} digit={Number(testLabels[index])} zoom={14} />
        </>
      ) : (
        <Row>
          <DrawingPad id="vote-pad" rows={data.side} columns={data.side} values={drawn} onChange={setDrawn} label={t.text("vote.pad", { side: data.side })} />
          <Button id="vote-clear" quiet onClick={() => setDrawn(blank)}>
            {t("vote.clear")}
          </Button>
        </Row>
      )}
      <Slider id="vote-k" label={t.text("vote.k")} value={k} min={1} max={MOST} step={1} onChange={setK} />
      {empty ? (
        <p>{t("vote.empty")}</p>
      ) : (
        <>
          <Figure title={t("vote.nearest")}>
            <Row>
              {nearest.slice(0, SHOWN).map(({ index: at, label, distance }) => (
                <Figure key={at} caption={String(label)}>
                  <Digit levels={train[at]!} digit={label} zoom={5} label={t.text("vote.neighbour", { digit: label, distance: n(distance, 1) })} />
                </Figure>
              ))}
            </Row>
          </Figure>
          <Result id="vote-answer" label={t.text("vote.answer")} value={largest(counts)} />
          <Bars
            id="votes"
            label={t.text("vote.votes")}
            bars={counts.map((value, digit) => ({ label: String(digit), value })).filter(({ value }) => value > 0)}
            full={k}
          />
        </>
      )}
      <Figure title={t("vote.curve", { n: test.length })}>
        <Plot
          lines={[{ label: t.text("vote.accuracy"), points: data.votes.map((row: { k: number; accuracy: number }) => [row.k, 100 * row.accuracy]) }]}
          logX
          xRange={[1, Math.max(...data.votes.map((row: { k: number }) => row.k))]}
          xLabel="k"
          yLabel={t.text("vote.accuracy")}
          label={t.text("vote.curve", { n: test.length })}
        />
      </Figure>
      <p>{t("vote.text")}</p>
    </Step>
  );
}
