import { Choice, Figure, Grid, Predict, Result, Row, Sign, Slider, Step, useCourse } from "@parts";
import { useState } from "preact/hooks";
import { differences, onCanvas, total, type Measure } from "./digits";
import { Digit, usePictures } from "./shared";

/** Compare two pictures pixel by pixel. */
export function Pixels() {
  const { t, data } = useCourse();
  const { train, test, trainLabels, testLabels } = usePictures();
  const [query, setQuery] = useState(test[0]!);
  const [number, setNumber] = useState(0);
  const [stored, setStored] = useState(0);
  const [measure, setMeasure] = useState<Measure>("L2");
  const apart = differences(query, train[stored]!, measure);
  const sum = total(apart);
  const choose = (to: number) => {
    setNumber(to);
    setQuery(test[to]!);
  };
  const value = (name: "query" | "stored") =>
    name === "query" ? Number(testLabels[number]) : Number(trainLabels[stored]);
  return (
    <Step id="pixels" title={t.text("pixels.title")}>
      <p>{t("pixels.intro")}</p>
      <p>{t("pixels.rule", { black: 0, white: data.levels })}</p>
      <Slider id="query-number" label={t.text("pixels.query_number")} value={number} min={0} max={test.length - 1} step={1} onChange={choose} />
      <Slider id="stored-number" label={t.text("pixels.stored_number")} value={stored} min={0} max={train.length - 1} step={1} onChange={setStored} />
      <Choice
        id="measure"
        label={t.text("pixels.measure")}
        options={(["L2", "L1"] as const).map((name) => ({ value: name, label: name }))}
        value={measure}
        onChange={setMeasure}
      />
      <Row>
        <Figure title={t("pixels.query")} caption={t("pixels.left", { digit: value("query") })}>
          <Grid
            id="query"
            values={query}
            onChange={setQuery}
            min={0}
            max={data.levels}
            colour="grey"
            size="small"
            label={t.text("pixels.query")}
          />
        </Figure>
        <Sign>−</Sign>
        <Figure title={t("pixels.stored")} caption={t("pixels.left", { digit: value("stored") })}>
          <Grid values={train[stored]!} min={0} max={data.levels} colour="grey" size="small" label={t.text("pixels.stored")} />
        </Figure>
        <Sign>→</Sign>
        <Figure title={t(measure === "L2" ? "pixels.squares" : "pixels.absolutes")}>
          <Grid id="apart" values={apart} size="small" label={t.text(measure === "L2" ? "pixels.squares" : "pixels.absolutes")} />
        </Figure>
      </Row>
      <Row>
        <Result id="distance-sum" label={t.text("pixels.sum")} value={sum} />
        <Result id="distance" label={t.text("pixels.distance")} value={measure === "L2" ? Math.sqrt(sum) : sum} />
      </Row>
      <p>{t("pixels.try")}</p>
      <MovedDigit />
    </Step>
  );
}

/** Is a digit nearer to itself, moved, or to another digit? */
function MovedDigit() {
  const { t, data } = useCourse();
  const { test, testLabels } = usePictures();
  const { picture, other } = data.moved as { picture: number; other: number };
  const place = (index: number, right = 0) => onCanvas(test[index]!, data.canvas, 0, right);
  const away = (to: number[][]) => Math.sqrt(total(differences(place(picture), to, "L2")));
  const moved = away(place(picture, 1));
  const another = away(place(other));
  return (
    <>
      <Row>
        <Digit levels={place(picture)} digit={Number(testLabels[picture])} zoom={9} />
        <Digit levels={place(picture, 1)} digit={Number(testLabels[picture])} zoom={9} />
        <Digit levels={place(other)} digit={Number(testLabels[other])} zoom={9} />
      </Row>
      <Predict
        id="predict-moved"
        ask={t("pixels.ask")}
        options={[t("pixels.itself"), t("pixels.other")]}
        answer={moved < another ? 0 : 1}
      >
        <p>
          {t("pixels.seen", {
            moved: <span data-id="moved-distance" data-value={moved}>{moved.toFixed(1)}</span>,
            other: <span data-id="other-distance" data-value={another}>{another.toFixed(1)}</span>,
          })}
        </p>
      </Predict>
    </>
  );
}
