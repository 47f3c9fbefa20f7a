import { Bars, n, Panel, Predict, Slider, Toggle, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

interface Stage {
  channels: number;
  side: number;
  macs: number;
}

const KERNEL = 3;

/** What doubling the filters does while the side is halved. */
export function Doubling({ data, t }: LessonProps) {
  const stages: Stage[] = data.stages;
  const first = stages[0]!;
  const most = Math.max(...stages.map((stage) => stage.channels));
  const [width, setWidth] = useState(first.channels);
  const [double, setDouble] = useState(true);
  const rows = stages.map(({ side }, index) => {
    const channels = double ? Math.min(width * 2 ** index, (width * most) / first.channels) : width;
    const weights = KERNEL * KERNEL * channels * channels;
    return { label: t.text("doubling.stage", { channels, side }), weights, macs: weights * side * side };
  });
  return (
    <>
      <p>{t("doubling.intro", { most })}</p>
      <Predict
        id="halved"
        ask={t("doubling.ask")}
        options={["same", "half", "double", "quarter"].map((key) => t(`doubling.${key}`))}
        answer={0}
      >
        <p>{t("doubling.seen", { macs: first.macs })}</p>
      </Predict>
      <Panel>
        <Slider
          id="width"
          label={t.text("doubling.width")}
          value={width}
          min={first.channels / 4}
          max={first.channels * 2}
          step={first.channels / 4}
          onChange={setWidth}
        />
        <Toggle id="double" label={t.text("doubling.toggle")} value={double} onChange={setDouble} />
        {(["macs", "weights"] as const).map((what) => (
          <figure key={what}>
            <div class="figure-title">{t(what === "macs" ? "doubling.bars" : "doubling.weights")}</div>
            <Bars
              id={`stage-${what}`}
              label={t.text(what === "macs" ? "doubling.bars" : "doubling.weights")}
              bars={rows.map((row) => ({ label: row.label, value: row[what] }))}
              format={(value) => n(value)}
            />
          </figure>
        ))}
      </Panel>
      <p>{t("doubling.without")}</p>
    </>
  );
}
