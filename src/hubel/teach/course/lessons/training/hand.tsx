import { Button, DataTable, Figure, Grid, Result, Row, Slider, Step, n, useCourse } from "@parts";
import { outputs, squaredLoss, squaredLossGradient, unpack, type Weights } from "@math";
import { useState } from "preact/hooks";
import { byFactors, useSamples } from "./shared";

const RATES = byFactors(0.01, 5);
const MARKS = ["window", "result"] as const;

/** One step of gradient descent by hand. */
export function Hand() {
  const { t, data } = useCourse();
  const samples = useSamples();
  const [w, setW] = useState<Weights>([0, 0]);
  const [steps, setSteps] = useState(0);
  const [rate, setRate] = useState(1);
  const count = samples.targets.length;
  const gradient = squaredLossGradient(samples, w);
  const y = outputs(samples, w);
  const right = y.filter((value, i) => value * samples.targets[i]! > 0).length / count;
  const walk = (times: number) => {
    let now = w;
    for (let i = 0; i < times; i++) {
      const slope = squaredLossGradient(samples, now);
      now = [now[0] - rate * slope[0], now[1] - rate * slope[1]];
    }
    setW(now);
    setSteps(steps + times);
  };
  const [seven, eight] = data.classes as [number, number];
  const term = (letter: string, number: number) => (
    <>
      <i>{letter}</i>
      <sub>{number}</sub>
    </>
  );
  return (
    <Step id="hand" title={t.text("hand.title")}>
      <p>{t("hand.intro", { seven, eight, plus: 1, minus: -1 })}</p>
      <p>{t("hand.loss", { n: count })}</p>
      <Row>
        {(data.examples as string[]).map((text, i) => (
          <Figure key={i}>
            <Grid
              values={unpack(text, data.side)}
              min={0}
              max={data.levels}
              colour="grey"
              size="small"
              mark={(row, column) => MARKS[block(data.blocks, data.block_side, row, column)]}
              label={t.text("hand.picture", { digit: data.classes[i] })}
            />
          </Figure>
        ))}
      </Row>
      <Slider id="hand-rate" label={t.text("hand.rate")} {...slider(RATES, rate, setRate)} />
      <Figure title={t("hand.table")} caption={t("hand.mean", { n: count })}>
        <DataTable
          id="hand-examples"
          label={t.text("hand.table")}
          head={[t("hand.example"), term("x", 1), term("x", 2), <i>t</i>, <i>y</i>, t("hand.error"), <>{t("hand.error")} × {term("x", 1)}</>, <>{t("hand.error")} × {term("x", 2)}</>]}
          rows={(data.example_rows as number[]).map((row, i) => {
            const [x1, x2] = samples.x[row]!;
            const error = y[row]! - samples.targets[row]!;
            return [String(data.classes[i]), x1, x2, samples.targets[row]!, y[row]!, error, error * x1, error * x2];
          })}
        />
      </Figure>
      <DataTable
        id="hand-weights"
        label={t.text("hand.weights")}
        head={[t("hand.weight"), t("hand.now"), t("hand.gradient"), t("hand.new")]}
        rows={[0, 1].map((i) => [term("w", i + 1), w[i as 0 | 1], gradient[i as 0 | 1], w[i as 0 | 1] - rate * gradient[i as 0 | 1]])}
      />
      <Row>
        <Button id="hand-step" onClick={() => walk(1)}>
          {t("hand.step")}
        </Button>
        <Button id="hand-ten" onClick={() => walk(10)}>
          {t("hand.ten")}
        </Button>
        <Button
          id="hand-reset"
          quiet
          onClick={() => {
            setW([0, 0]);
            setSteps(0);
          }}
        >
          {t("hand.reset")}
        </Button>
      </Row>
      <Row>
        <Result id="hand-steps" label={t.text("hand.steps")} value={steps} />
        <Result id="hand-loss" label={t.text("hand.loss_now")} value={squaredLoss(samples, w)} />
        <Result id="hand-accuracy" label={t.text("hand.accuracy")} value={100 * right} digits={1} />
      </Row>
    </Step>
  );
}

/** Properties of a slider that moves by factors. */
export function slider(scale: number[], value: number, onChange: (value: number) => void) {
  return {
    min: 0,
    max: scale.length - 1,
    step: 1,
    value: scale.indexOf(value),
    format: (position: number) => n(scale[position]!),
    onChange: (position: number) => onChange(scale[position]!),
  };
}

/** The number of the marked square that a pixel lies in; -1 if in none. */
function block(blocks: [number, number][], side: number, row: number, column: number): number {
  return blocks.findIndex(([top, left]) => row >= top && row < top + side && column >= left && column < left + side);
}
