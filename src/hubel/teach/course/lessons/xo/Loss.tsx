import { DataTable, Panel, Plot, Question, Row, Slider, Step, n } from "@parts";
import { crossEntropy, sigmoid, squaredError } from "@math";
import { useState } from "preact/hooks";
import { useLab } from "./state";

const SMALLEST = 0.02;
const CURVE = Array.from({ length: 99 }, (_, i) => SMALLEST + (i / 98) * (1 - SMALLEST));

export function Loss() {
  const { t, data, trace, which } = useLab();
  const [z, setZ] = useState(-3);
  const p = sigmoid(z);
  const targets = which === "o" ? [0, 1] : [1, 0];
  const letters = ["x", "o"] as const;
  const entropies = trace.outputs.map((output, k) => crossEntropy(output, targets[k]!));
  const squares = trace.outputs.map((output, k) => squaredError(output, targets[k]!));
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
  return (
    <Step id="loss" title={t.text("loss.title")}>
      <p>{t("loss.text", { one: 1, zero: 0, letter: t(`image.${which === "o" ? "o" : "x"}`) })}</p>
      <DataTable
        id="loss-table"
        label={t.text("loss.table")}
        head={["", t("loss.output"), t("loss.target"), t("loss.bce"), t("loss.mse")]}
        strong={2}
        rows={[
          ...letters.map((letter, k) => [t(`outputs.${letter}`), n(trace.outputs[k]!, 2), targets[k]!, n(entropies[k]!, 2), n(squares[k]!, 2)]),
          [
            t("loss.total"),
            "",
            "",
            <span data-id="loss-bce" data-value={total(entropies)}>{n(total(entropies), 2)}</span>,
            <span data-id="loss-mse" data-value={total(squares)}>{n(total(squares), 2)}</span>,
          ],
        ]}
      />
      <p>{t("loss.both")}</p>
      <Panel>
        <Slider id="loss-z" label={t.text("loss.slider")} value={z} min={-6} max={6} step={0.1} onChange={setZ} format={(value) => n(value, 1)} />
        <Row>
          <Plot
            lines={[
              { label: t.text("loss.bce"), points: CURVE.map((x) => [x, crossEntropy(x, 1)]) },
              { label: t.text("loss.mse"), points: CURVE.map((x) => [x, squaredError(x, 1)]) },
            ]}
            marks={[
              { x: p, y: crossEntropy(p, 1), label: n(crossEntropy(p, 1), 2) },
              { x: p, y: squaredError(p, 1), label: n(squaredError(p, 1), 2) },
            ]}
            xLabel={t.text("loss.p", { one: 1 })}
            yLabel={t.text("loss.loss")}
            xRange={[0, 1]}
            yRange={[0, 4]}
            label={t.text("loss.plot")}
          />
        </Row>
        <DataTable
          id="loss-slopes"
          label={t.text("loss.slopes")}
          head={["", t("loss.loss"), t("loss.slope")]}
          rows={[
            [t("loss.bce"), n(crossEntropy(p, 1), 3), <span data-id="slope-bce" data-value={p - 1}>{t("loss.slopeBce", { value: n(p - 1, 3) })}</span>],
            [
              t("loss.mse"),
              n(squaredError(p, 1), 3),
              <span data-id="slope-mse" data-value={2 * (p - 1) * p * (1 - p)}>{t("loss.slopeMse", { two: 2, one: 1, value: n(2 * (p - 1) * p * (1 - p), 3) })}</span>,
            ],
          ]}
        />
      </Panel>
      <p>{t("loss.flat")}</p>
      <Question id="loss-question" ask={t("loss.question")}>
        <p>{t("loss.answer", { half: n(0.5, 1), one: n(crossEntropy(0.5, 1), 3), both: n(2 * crossEntropy(0.5, 1), 3), outputs: data.weights.bias.length })}</p>
      </Question>
    </Step>
  );
}
