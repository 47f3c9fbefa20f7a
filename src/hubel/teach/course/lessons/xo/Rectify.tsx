import { Choice, Figure, Grid, Panel, Row, Sign, Step } from "@parts";
import { useState } from "preact/hooks";
import { ImageChoice, NAMES, useLab } from "./state";

export function Rectify() {
  const { t, trace } = useLab();
  const [index, setIndex] = useState(0);
  const all = trace.matches.flat(2);
  return (
    <Step id="relu" title={t.text("relu.title")}>
      <p>{t("relu.text", { zero: 0 })}</p>
      <Panel>
        <Choice
          id="relu-pattern"
          label={t.text("slide.map")}
          options={NAMES.map((name, value) => ({ value, label: t.text(`pattern.${name}`) }))}
          value={index}
          onChange={setIndex}
        />
        <ImageChoice id="relu-image" />
        <Row>
          <Figure title={t("relu.before")}>
            <Grid values={trace.matches[index]!} digits={2} full={1} label={t.text("relu.before")} />
          </Figure>
          <Sign>→</Sign>
          <Figure title={t("relu.after")}>
            <Grid id="relu-map" values={trace.rectified[index]!} digits={2} full={1} label={t.text("relu.after")} />
          </Figure>
        </Row>
        <p>{t("relu.count", { negative: all.filter((value) => value < 0).length, all: all.length, zero: 0 })}</p>
      </Panel>
    </Step>
  );
}
