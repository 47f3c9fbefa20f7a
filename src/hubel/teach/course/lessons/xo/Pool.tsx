import { Choice, Figure, Grid, Panel, Question, Row, Sign, Step, percent } from "@parts";
import { outputSize } from "@math";
import { useState } from "preact/hooks";
import { forward, moved } from "./network";
import { ImageChoice, NAMES, useLab } from "./state";

const SIDE = 2;

export function Pool() {
  const { t, trace, weights, image, patterns } = useLab();
  const [index, setIndex] = useState(0);
  const [[row, column], point] = useState<[number, number]>([0, 0]);
  const shifted = forward(weights, moved(image, 0, 1));
  const size = { image: image.length, kernel: patterns[0]!.length };
  const map = outputSize(size.image, size.kernel);
  return (
    <Step id="pool" title={t.text("pool.title")}>
      <p>{t("pool.text", { values: SIDE * SIDE })}</p>
      <Panel>
        <Choice
          id="pool-pattern"
          label={t.text("slide.map")}
          options={NAMES.map((name, value) => ({ value, label: t.text(`pattern.${name}`) }))}
          value={index}
          onChange={setIndex}
        />
        <ImageChoice id="pool-image" />
        <Row>
          <Figure title={t("relu.after")}>
            <Grid
              values={trace.rectified[index]!}
              digits={2}
              full={1}
              label={t.text("relu.after")}
              mark={(r, c) => (Math.floor(r / SIDE) === row && Math.floor(c / SIDE) === column ? "window" : undefined)}
            />
          </Figure>
          <Sign>→</Sign>
          <Figure title={t("pool.after")} caption={t("pool.point")}>
            <Grid
              id="pool-map"
              values={trace.pooled[index]!}
              digits={2}
              full={1}
              size="large"
              label={t.text("pool.after")}
              pointed={[row, column]}
              onPoint={(r, c) => point([r, c])}
              mark={(r, c) => (r === row && c === column ? "result" : undefined)}
            />
          </Figure>
        </Row>
      </Panel>
      <p>
        {t("pool.moved", {
          before: percent(unchanged(trace.rectified, shifted.rectified), 0),
          after: percent(unchanged(trace.pooled, shifted.pooled), 0),
        })}
      </p>
      <Question id="pool-question" ask={t("pool.question")}>
        <p>
          {t("pool.answer", {
            image: size.image,
            kernel: size.kernel,
            one: 1,
            map,
            pooled: Math.ceil(map / SIDE),
            side: SIDE,
          })}
        </p>
      </Question>
    </Step>
  );
}

/** Share of the values that are equal in both. */
function unchanged(before: number[][][], after: number[][][]): number {
  const [one, other] = [before.flat(2), after.flat(2)];
  return one.filter((value, i) => Math.abs(value - other[i]!) < 1e-9).length / one.length;
}
