import { Bars, Choice, Figure, Grid, Picture, Result, Row, Step, n, useCourse } from "@parts";
import { useMemo, useState } from "preact/hooks";
import { grey, largest, onCanvas, signed } from "./digits";
import { Digit, TestPicture, usePictures } from "./shared";

type Linear = { weights: number[][][]; bias: number[] };

/** Score of each class: the sum of the products, plus the bias. */
export function linearScores({ weights, bias }: Linear, picture: number[][]): number[] {
  return weights.map((template, digit) =>
    template.reduce((sum, row, r) => sum + row.reduce((part, weight, c) => part + weight * picture[r]![c]!, 0), bias[digit]!),
  );
}

/** The part of a canvas without its margin. */
function inner(canvas: number[][], margin: number): number[][] {
  return canvas.slice(margin, -margin).map((row) => row.slice(margin, -margin));
}

/** One template per class. */
export function Templates() {
  const { t, data } = useCourse();
  const { test, testLabels } = usePictures();
  const templates: Linear = data.templates;
  const [index, setIndex] = useState(0);
  const [shown, setShown] = useState(Number(testLabels[0]));
  const canvas = useMemo(() => onCanvas(grey(test[index]!, data.levels), data.canvas), [test, index, data]);
  const scores = linearScores(templates, canvas);
  const answer = largest(scores);
  const products = templates.weights[shown]!.map((row, r) => row.map((weight, c) => weight * canvas[r]![c]!));
  const truth = Number(testLabels[index]);
  const margin = Math.max(
    ...templates.weights.flatMap((template) =>
      template.flatMap((row, r) => row.filter((_, c) => outside(r, c, data.canvas, data.margin)).map(Math.abs)),
    ),
  );
  const asIs = data.views[0] as { templates: number; averages: number };
  return (
    <Step id="templates" title={t.text("templates.title")}>
      <p>{t("templates.intro")}</p>
      <Figure caption={t("templates.learned")}>
        <Row>
          {templates.weights.map((template, digit) => (
            <Figure key={digit} caption={String(digit)}>
              <Picture pixels={signed(inner(template, data.margin))} zoom={6} label={t.text("templates.template", { digit })} />
            </Figure>
          ))}
        </Row>
      </Figure>
      <Figure
        caption={t("templates.averages", { averages: n(100 * asIs.averages, 1), templates: n(100 * asIs.templates, 1) })}
      >
        <Row>
          {(data.averages.weights as number[][][]).map((average, digit) => (
            <Figure key={digit} caption={String(digit)}>
              <Picture pixels={inner(average, data.margin)} zoom={6} label={t.text("templates.average", { digit })} />
            </Figure>
          ))}
        </Row>
      </Figure>
      <TestPicture id="template-picture" index={index} onChange={setIndex} />
      <Choice
        id="template-class"
        label={t.text("templates.class")}
        options={templates.bias.map((_, digit) => ({ value: digit, label: String(digit) }))}
        value={shown}
        onChange={setShown}
      />
      <Row>
        <Digit levels={test[index]!} digit={truth} zoom={14} />
        <Figure title={t("templates.products")}>
          <Grid id="products" values={inner(products, data.margin)} digits={1} size="small" label={t.text("templates.products")} />
        </Figure>
      </Row>
      <Row>
        <Result id="product-sum" label={t.text("templates.sum")} value={scores[shown]! - templates.bias[shown]!} digits={2} />
        <Result id="template-bias" label={t.text("templates.bias")} value={templates.bias[shown]!} digits={2} />
        <Result id="template-score" label={t.text("templates.score")} value={scores[shown]!} digits={2} />
      </Row>
      <Bars
        id="template-scores"
        label={t.text("templates.scores")}
        digits={2}
        bars={scores.map((value, digit) => ({
          label: String(digit),
          value,
          note: digit !== answer ? undefined : answer === truth ? t.text("templates.right") : t.text("templates.wrong", { digit: truth }),
        }))}
      />
      <p>
        {t("templates.parameters", {
          canvas: data.canvas,
          classes: data.classes,
          pixels: data.canvas ** 2,
          one: 1,
          parameters: data.classes * (data.canvas ** 2 + 1),
          margin,
        })}
      </p>
    </Step>
  );
}

function outside(row: number, column: number, canvas: number, margin: number): boolean {
  return Math.min(row, column) < margin || Math.max(row, column) >= canvas - margin;
}
