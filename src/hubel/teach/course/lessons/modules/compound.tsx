import { Bars, DataTable, n, Panel, Plot, Predict, Question, Result, Row, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

interface Scaled {
  depth: number;
  width: number;
  resolution: number;
  layers: number;
  params: number;
  macs: number;
}

interface Published extends Omit<Scaled, "layers"> {
  name: string;
}

/** Scale depth, width and resolution by one number. */
export function Compound({ data, facts, t }: LessonProps) {
  const { alpha, beta, gamma, factor } = data.compound;
  const phis: number[] = data.compound.phis;
  const networks: Scaled[] = data.compound.networks;
  const alone: Record<string, Scaled> = data.compound.alone;
  const published: Published[] = data.compound.published;
  const one = phis.indexOf(1);
  const [at, setAt] = useState(one);
  const phi = phis[at]!;
  const network = networks[at]!;
  const base = networks[0]!;
  const four = phis.indexOf(2);
  const quadrupled = networks[four]!;
  return (
    <>
      <p>{t("compound.intro")}</p>
      <p>{t("compound.bases", { alpha, beta, gamma })}</p>
      <Predict
        id="twice"
        ask={t("compound.ask")}
        options={["depth", "width", "resolution"].map((key) => t(`compound.${key}`))}
        answer={0}
      >
        <p>{t("compound.seen", { factor: n(factor, 2) })}</p>
      </Predict>
      <Panel>
        <Slider
          id="phi"
          label={t.text("compound.phi")}
          value={phi}
          min={phis[0]!}
          max={phis.at(-1)!}
          step={0.1}
          onChange={(to) => setAt(Math.round(to * 10))}
          format={(value) => n(value, 1)}
        />
        <Row>
          <Result id="phi-depth" value={network.depth} digits={2} label={t.text("compound.depth")} />
          <Result id="phi-width" value={network.width} digits={2} label={t.text("compound.width")} />
          <Result id="phi-resolution" value={network.resolution} label={t.text("compound.side")} />
          <Result id="phi-layers" value={network.layers} label={t.text("compound.layers")} />
          <Result id="phi-params" value={network.params} label={t.text("params")} />
          <Result id="phi-macs" value={network.macs} label={t.text("macs")} />
        </Row>
        <Plot
          id="phi-plot"
          lines={[
            { label: t.text("compound.computed"), points: networks.map(({ macs }, index) => [phis[index]!, macs] as [number, number]) },
            {
              label: t.text("compound.ideal", { factor: n(factor, 2) }),
              points: phis.map((power) => [power, base.macs * factor ** power] as [number, number]),
            },
          ]}
          marks={[{ x: phi, y: network.macs, label: `φ = ${n(phi, 1)}` }]}
          xLabel={t.text("compound.phi")}
          yLabel={t.text("macs")}
          logY
          label={t.text("compound.plot")}
        />
      </Panel>
      <p>{t("compound.read")}</p>
      <div class="figure-title">{t("compound.alone", { phi: phis[one]! })}</div>
      <Bars
        id="alone"
        label={t.text("compound.alone", { phi: phis[one]! })}
        digits={2}
        bars={[
          ...Object.entries(alone).map(([key, scaled]) => ({ label: t.text(`compound.${key}`), value: scaled.macs / base.macs })),
          { label: t.text("compound.together"), value: networks[one]!.macs / base.macs },
        ]}
      />
      <DataTable
        id="published"
        label={t.text("compound.published")}
        head={[t("compound.name"), t("compound.depth"), t("compound.width"), t("compound.side"), t("params"), t("macs")]}
        rows={published.map(({ name, depth, width, resolution, params, macs }) => [name, depth, width, resolution, params, macs])}
      />
      <p>
        {t("compound.differ", {
          b0: facts.b0!.value,
          b7: facts.b7!.value,
          times: n(published.at(-1)!.macs / published[0]!.macs, 0),
        })}
      </p>
      <Question id="four" ask={t("compound.question")}>
        <p>
          {t("compound.answer", {
            phi: n(phis[four]!),
            depth: n(quadrupled.depth, 2),
            width: n(quadrupled.width, 2),
            resolution: quadrupled.resolution,
            macs: quadrupled.macs,
            ratio: n(quadrupled.macs / base.macs, 1),
          })}
        </p>
      </Question>
    </>
  );
}
