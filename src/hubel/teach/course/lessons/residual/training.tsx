import { Choice, LiveControls, LiveOnly, n, Panel, Plot, Slider, useLive, type LessonProps } from "@parts";
import { useState } from "preact/hooks";
import { KINDS, layerPoints } from "./norms";

type Side = { norms: number[]; loss: number };
type Row = { step: number } & Record<(typeof KINDS)[number], Side>;

/** Gradient norms of each layer while a plain and a residual network train side by side. */
export function Training({ data, live, t }: LessonProps) {
  const depths: number[] = data.depths;
  const [depth, setDepth] = useState(depths[0]!);
  const [back, setBack] = useState<number | null>(null);
  const { rows, running, error, start, stop } = useLive<Row>(live, "gradients");
  const last = rows.length - 1;
  const at = back === null ? last : Math.min(back, last);
  const row = rows[at];
  return (
    <>
      <p>{t("training.intro")}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <Choice
            id="training-depth"
            label={t.text("norms.depth")}
            options={depths.map((value) => ({ value, label: n(value) }))}
            value={depth}
            onChange={setDepth}
          />
          <LiveControls
            id="gradients"
            running={running}
            error={error}
            onStart={() => {
              setBack(null);
              start({ depth });
            }}
            onStop={stop}
            label={t.text("training.start", { depth })}
          />
          {row && (
            <>
              <Slider
                id="training-step"
                label={t.text("training.step")}
                value={at}
                min={0}
                max={Math.max(1, last)}
                step={1}
                onChange={(to) => setBack(to === last ? null : to)}
              />
              <Plot
                id="training-norms"
                lines={KINDS.map((kind) => ({
                  label: `${t.text(`kind.${kind}`)}, ${t.text("training.loss")} ${n(row[kind].loss, 2)}`,
                  points: layerPoints(row[kind].norms),
                }))}
                xLabel={t.text("norms.layer")}
                yLabel={t.text("norms.norm")}
                logY
                xRange={[0, row.plain.norms.length + 1]}
                label={t.text("training.plot")}
              />
              <Plot
                id="training-losses"
                lines={KINDS.map((kind) => ({
                  label: t.text(`kind.${kind}`),
                  points: rows.map((one) => [one.step, one[kind].loss] as [number, number]),
                }))}
                xLabel={t.text("training.steps")}
                yLabel={t.text("training.loss")}
                height={200}
                label={t.text("training.losses")}
              />
            </>
          )}
        </Panel>
      </LiveOnly>
      <p>{t("training.read")}</p>
    </>
  );
}
