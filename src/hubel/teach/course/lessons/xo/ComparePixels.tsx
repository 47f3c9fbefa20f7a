import { Choice, Figure, Grid, Panel, Predict, Result, Row, Slider, Step, n } from "@parts";
import { useState } from "preact/hooks";
import { agreeing, moved, resemblance } from "./network";
import { useLab } from "./state";

const MOST = 2; // pixels

export function ComparePixels() {
  const { t, data } = useLab();
  const [letter, setLetter] = useState<"x" | "o">("x");
  const [down, setDown] = useState(0);
  const [right, setRight] = useState(0);
  const image = moved(data[letter], down, right);
  const pixels = data.x.flat().length;
  const agree = agreeing(image, data.x);
  const shift = resemblance(moved(data.x, 0, 1), data.x);
  const diagonal = moved(data.o, 1, 1);
  return (
    <Step id="compare" title={t.text("compare.title")}>
      <p>{t("compare.text", { pixels })}</p>
      <Predict
        id="compare-predict"
        ask={t("compare.ask")}
        options={[t("compare.moved"), t("compare.o"), t("compare.same")]}
        answer={2}
      >
        <p>{t("compare.see", { shift: n(shift, 2), o: n(resemblance(data.o, data.x), 2) })}</p>
      </Predict>
      <Panel>
        <Choice
          id="compare-letter"
          label={t.text("compare.letter")}
          options={(["x", "o"] as const).map((value) => ({ value, label: t.text(`image.${value}`) }))}
          value={letter}
          onChange={setLetter}
        />
        <Slider id="compare-right" label={t.text("compare.right")} value={right} min={-MOST} max={MOST} step={1} onChange={setRight} />
        <Slider id="compare-down" label={t.text("compare.down")} value={down} min={-MOST} max={MOST} step={1} onChange={setDown} />
        <Row>
          <Figure caption={t("compare.caption")}>
            <Grid
              id="compare-grid"
              values={image}
              colour="ink"
              label={t.text("compare.grid", { agree, differ: pixels - agree })}
              mark={(r, c) => (image[r]![c] === data.x[r][c] ? undefined : "wrong")}
            />
          </Figure>
          <div class="results">
            <Result id="compare-agree" label={t.text("compare.agree")} value={agree} />
            <Result id="compare-differ" label={t.text("compare.differ")} value={pixels - agree} />
            <Result id="compare-score" label={t.text("compare.score")} value={resemblance(image, data.x)} digits={2} />
            <p class="sum">
              {t("compare.sum", { agree, differ: pixels - agree, pixels, score: n(resemblance(image, data.x), 2) })}
            </p>
          </div>
        </Row>
      </Panel>
      <p>
        {t("compare.fails", { x: n(resemblance(diagonal, data.x), 2), o: n(resemblance(diagonal, data.o), 2) })}
      </p>
    </Step>
  );
}
