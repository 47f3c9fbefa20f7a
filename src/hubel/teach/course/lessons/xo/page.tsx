import { Figure, Grid, LiveControls, LiveOnly, Plot, Row, Sign, Step, useLive, type LessonProps } from "@parts";
import { matchMap } from "@math";
import { useState } from "preact/hooks";

export default function Page({ data, t, live }: LessonProps) {
  const [pattern, setPattern] = useState<number[][]>(data.patterns[0]);
  const training = useLive<{ step: number; loss: number }>(live, "train");
  return (
    <>
      <Step id="slide" title={t.text("slide.title")}>
        <p>{t("slide.text")}</p>
        <Row>
          <Figure caption={t("slide.image")}>
            <Grid values={data.x} colour="ink" label={t.text("slide.image")} />
          </Figure>
          <Sign>∗</Sign>
          <Figure caption={t("slide.pattern")}>
            <Grid id="pattern" values={pattern} onChange={setPattern} label={t.text("slide.pattern")} />
          </Figure>
          <Sign>=</Sign>
          <Figure caption={t("slide.map")}>
            <Grid id="map" values={matchMap(data.x, pattern)} digits={2} full={1} label={t.text("slide.map")} />
          </Figure>
        </Row>
      </Step>
      <Step id="train" title={t.text("train.title")}>
        <LiveOnly live={live} t={t}>
          <LiveControls
            id="train"
            running={training.running}
            error={training.error}
            onStart={() => training.start({})}
            onStop={training.stop}
            label={t.text("train.start")}
          />
          <Plot
            lines={[{ label: t.text("train.loss"), points: training.rows.map((row) => [row.step, row.loss]) }]}
            xLabel={t.text("train.step")}
            yLabel={t.text("train.loss")}
            label={t.text("train.title")}
          />
        </LiveOnly>
      </Step>
    </>
  );
}
