import { DataTable, Formula, Panel, Plot, Row, Step, n } from "@parts";
import { sigmoid } from "@math";
import { ImageChoice, useLab } from "./state";

const RANGE = 6;
const CURVE = Array.from({ length: 121 }, (_, i) => -RANGE + i / 10).map((x): [number, number] => [x, sigmoid(x)]);

export function Outputs() {
  const { t, trace, weights } = useLab();
  const letters = ["x", "o"] as const;
  return (
    <Step id="outputs" title={t.text("outputs.title")}>
      <p>{t("outputs.text", { values: trace.flat.length })}</p>
      <Formula tex={"z = b + \\sum_i w_i v_i , \\quad p = \\frac{1}{1 + e^{-z}}"} />
      <Panel>
        <ImageChoice id="outputs-image" />
        <DataTable
          id="outputs-table"
          label={t.text("outputs.table")}
          head={["", ...trace.flat.map((_, i) => <i>v<sub>{i + 1}</sub></i>), <i>b</i>, <i>z</i>, <i>p</i>]}
          rows={[
            [t("outputs.values"), ...trace.flat.map((value) => n(value, 2)), "", "", ""],
            ...letters.map((letter, k) => [
              t("outputs.weights", { letter: t(`image.${letter}`) }),
              ...weights.output[k]!.map((value) => n(value, 2)),
              n(weights.bias[k]!, 2),
              <b data-id={`sum-${letter}`} data-value={trace.sums[k]}>{n(trace.sums[k]!, 2)}</b>,
              <b data-id={`output-${letter}`} data-value={trace.outputs[k]}>{n(trace.outputs[k]!, 2)}</b>,
            ]),
          ]}
        />
        <Row>
          <Plot
            lines={[{ label: t.text("outputs.sigmoid"), points: CURVE }]}
            marks={letters.map((letter, k) => ({ x: trace.sums[k]!, y: trace.outputs[k]!, label: `${t.text(`outputs.${letter}`)}: ${n(trace.outputs[k]!, 2)}` }))}
            xLabel={t.text("outputs.z")}
            yLabel={t.text("outputs.p")}
            xRange={[-RANGE, RANGE]}
            yRange={[0, 1]}
            height={220}
            label={t.text("outputs.sigmoid")}
          />
        </Row>
      </Panel>
      <p>{t("outputs.random")}</p>
    </Step>
  );
}
