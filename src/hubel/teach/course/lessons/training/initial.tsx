import { Figure, Plot, Predict, Result, Row, Slider, Step, useCourse } from "@parts";
import { useState } from "preact/hooks";
import { slider } from "./hand";
import { Runs } from "./runs";
import { byFactors } from "./shared";

const GAINS = byFactors(0.1, 10);
const HALF = 0.5;
const LIVE_RATE = 0.02;
const LIVE_EPOCHS = 10;
const NAMES = ["zeros", "small", "he", "large"] as const;

/** How large the first weights are. */
export function Initial() {
  const { t, data, facts } = useCourse();
  const [gain, setGain] = useState(1);
  const sizes = data.sizes as number[];
  const sigma = gain * Math.sqrt(2 / data.units);
  const scaled = sizes.map((size, layer) => size * gain ** layer); // exact: ReLU of g x is g times ReLU of x
  return (
    <Step id="initial" title={t.text("initial.title")}>
      <p>{t("initial.intro", { layers: data.layers, units: data.units })}</p>
      <Slider id="initial-gain" label={t.text("initial.gain")} {...slider(GAINS, gain, setGain)} />
      <Row>
        <Result id="initial-sigma" label={t.text("initial.sigma")} value={sigma} />
        <Result id="initial-last" label={t.text("initial.last")} value={scaled.at(-1)!} />
      </Row>
      <Figure>
        <Plot
        id="initial-plot"
        logY
        lines={[
          { label: t.text("initial.measured"), points: scaled.map((size, layer) => [layer, size]) },
          { label: t.text("initial.theory"), points: scaled.map((_, layer) => [layer, sizes[0]! * gain ** layer]) },
        ]}
        xLabel={t.text("initial.layer")}
        yLabel={t.text("initial.size")}
        label={t.text("initial.curve")}
        />
      </Figure>
      <p>{t("initial.text", { factor: HALF })}</p>
      <Predict
        id="predict-initial"
        ask={t("initial.ask")}
        options={(["normal", "nothing", "explode"] as const).map((name) => t(`initial.${name}`))}
        answer={1}
      >
        <p>{t("initial.seen")}</p>
      </Predict>
      <p>{t("initial.live", { sigma: facts.alexnet_sigma!.value, large: data.large, inputs: Math.round(2 / facts.alexnet_sigma!.value ** 2) })}</p>
      <Figure caption={t("live.guess", { classes: data.pictures.classes, loss: data.guess_loss })}>
        <Runs
          id="initial-live"
          epochs={LIVE_EPOCHS}
          runs={NAMES.map((initial) => ({ label: t.text(`initial.${initial}`), setting: { initial, rate: LIVE_RATE } }))}
        />
      </Figure>
    </Step>
  );
}
