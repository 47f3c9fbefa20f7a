import { Choice, Figure, Grid, Panel, Result, Row, Sign, Step, n } from "@parts";
import { matchScore, under } from "@math";
import { useState } from "preact/hooks";
import { sumText } from "./network";
import { ImageChoice, NAMES, useLab } from "./state";

export function MatchPattern() {
  const { t, image, patterns } = useLab();
  const [index, setIndex] = useState(0);
  const [[row, column], setAt] = useState<[number, number]>([1, 1]);
  const pattern = patterns[index]!;
  const side = pattern.length;
  const window = under(image, row, column, side, side);
  const products = window.map((line, r) => line.map((pixel, c) => pixel * pattern[r]![c]!));
  const total = products.flat().reduce((sum, product) => sum + product, 0);
  const point = (r: number, c: number) => setAt([Math.min(r, image.length - side), Math.min(c, image[0]!.length - side)]);
  return (
    <Step id="match" title={t.text("match.title")}>
      <p>{t("match.text")}</p>
      <p>{t("match.rule")}</p>
      <Panel>
        <Choice
          id="match-pattern"
          label={t.text("match.pattern")}
          options={NAMES.map((name, value) => ({ value, label: t.text(`pattern.${name}`) }))}
          value={index}
          onChange={setIndex}
        />
        <ImageChoice id="match-image" />
        <Row>
          <Figure caption={t("match.point")}>
            <Grid
              id="match-window"
              values={image}
              colour="ink"
              size="small"
              label={t.text("match.image")}
              pointed={[row, column]}
              onPoint={point}
              mark={(r, c) => (r >= row && r < row + side && c >= column && c < column + side ? "window" : undefined)}
            />
          </Figure>
          <Figure title={t("match.under")}>
            <Grid values={window} colour="ink" label={t.text("match.under")} />
          </Figure>
          <Sign>×</Sign>
          <Figure title={t("match.pattern")}>
            <Grid values={pattern} full={1.6} label={t.text("match.pattern")} />
          </Figure>
          <Sign>=</Sign>
          <Figure title={t("match.products")}>
            <Grid id="match-products" values={products} full={1.6} label={t.text("match.products")} />
          </Figure>
          <Result id="match-score" label={t.text("match.score")} value={matchScore(window, pattern)} digits={2} />
        </Row>
        <p class="sum">
          {t("match.sum", { terms: sumText(products.flat(), (value) => n(value)), total, pixels: side * side, score: n(total / side / side, 2) })}
        </p>
      </Panel>
    </Step>
  );
}
