import { DataTable, Figure, Formula, Grid, Panel, Result, Row, Slider, Step, n } from "@parts";
import { crossEntropy, sigmoid } from "@math";
import { useState } from "preact/hooks";
import { forward, parameterCounts } from "./network";
import { NAMES, useLab } from "./state";

/** One step of the weights of output X, on the reference X with the weights of the beginning. */
export function GradientStep() {
  const { t, data } = useLab();
  const [rate, setRate] = useState(1);
  const trace = forward(data.weights, data.x);
  const old: number[] = data.weights.output[0];
  const error = trace.outputs[0]! - 1;
  const gradient = trace.flat.map((value) => error * value);
  const weights = old.map((weight, i) => weight - rate * gradient[i]!);
  const bias = data.weights.bias[0] - rate * error;
  const z = bias + weights.reduce((sum, weight, i) => sum + weight * trace.flat[i]!, 0);
  const parameters = Object.values(parameterCounts(data.weights)).reduce((sum, count) => sum + count, 0);
  const row = (name: string, values: number[], last: number, digits = 2) => [t(name), ...values.map((value) => n(value, digits)), n(last, digits)];
  return (
    <Step id="step" title={t.text("step.title")}>
      <p>{t("step.error", { output: n(trace.outputs[0]!, 2), one: 1, error: n(error, 2) })}</p>
      <Formula tex={"\\frac{\\partial L}{\\partial w_i} = (p - y) v_i , \\quad w_i \\leftarrow w_i - \\eta (p - y) v_i"} />
      <p>{t("step.text")}</p>
      <Panel>
        <Slider id="step-rate" label={t.text("step.rate")} value={rate} min={0} max={8} step={0.5} onChange={setRate} format={(value) => n(value, 1)} />
        <DataTable
          id="step-table"
          label={t.text("step.table")}
          head={["", ...old.map((_, i) => <i>w<sub>{i + 1}</sub></i>), <i>b</i>]}
          rows={[
            row("step.value", trace.flat, 1),
            row("step.gradient", gradient, error, 3),
            row("step.old", old, data.weights.bias[0]),
            row("step.new", weights, bias),
          ]}
        />
        <Row>
          <Result id="step-before" label={t.text("step.before")} value={crossEntropy(trace.outputs[0]!, 1)} digits={3} />
          <Result id="step-after" label={t.text("step.after")} value={crossEntropy(sigmoid(z), 1)} digits={3} />
          <Result id="step-output" label={t.text("step.output")} value={sigmoid(z)} digits={3} />
        </Row>
      </Panel>
      <p>{t("step.back", { parameters })}</p>
      <Row align="top">
        {NAMES.map((name, k) => (
          <Figure key={name} title={t("step.of", { name: t(`pattern.${name}`) })}>
            <Grid id={`gradient-${name}`} size="large" values={data.step.gradient.patterns[k]} digits={3} full={0.04} label={t.text("step.of", { name: t.text(`pattern.${name}`) })} />
          </Figure>
        ))}
      </Row>
      <p>{t("step.all", { before: n(data.step.loss, 2), after: n(data.step.lossAfter, 2) })}</p>
    </Step>
  );
}
