import { receptiveField } from "@math";
import { Bars, n, Panel, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const KERNEL = 3;

/** Stacked 3x3 layers against one large kernel that sees as much. */
export function Stack({ data, facts, t }: LessonProps) {
  const [layers, setLayers] = useState<number>(data.stack.layers);
  const [channels, setChannels] = useState<number>(data.stack.channels);
  const seen = receptiveField(Array.from({ length: layers }, () => ({ kernel: KERNEL }))).at(-1)!;
  const stacked = layers * KERNEL * KERNEL * channels * channels;
  const large = seen * seen * channels * channels;
  return (
    <>
      <p>{t("stack.intro", { layers, seen })}</p>
      <Panel>
        <Slider id="stack-layers" label={t.text("stack.layers")} value={layers} min={1} max={6} step={1} onChange={setLayers} />
        <Slider id="stack-channels" label={t.text("stack.channels")} value={channels} min={16} max={512} step={16} onChange={setChannels} />
        <Bars
          id="stack-weights"
          label={t.text("stack.bars")}
          bars={[
            { label: t.text("stack.stacked", { layers }), value: stacked },
            { label: t.text("stack.large", { seen }), value: large },
          ]}
        />
      </Panel>
      <p>{t("stack.more", { more: n(100 * (large / stacked - 1), 0), published: facts.stack_more!.value })}</p>
    </>
  );
}
