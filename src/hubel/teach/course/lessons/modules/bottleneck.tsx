import { Bars, n, Panel, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

/** Weights of a bottleneck block against two 3x3 convolutions. */
export function Bottleneck({ data, t }: LessonProps) {
  const { channels, narrow, ratio, networks } = data.bottleneck;
  const [width, setWidth] = useState<number>(channels);
  const inside = (width * narrow) / channels;
  const kernel = data.small.kernel;
  const plain = 2 * kernel * kernel * width * width;
  const total = 2 * width * inside + kernel * kernel * inside * inside;
  return (
    <>
      <p>{t("bottleneck.intro", { channels, narrow })}</p>
      <Panel>
        <Slider id="outside" label={t.text("bottleneck.channels")} value={width} min={64} max={512} step={64} onChange={setWidth} />
        <Bars
          id="bottleneck-weights"
          label={t.text("bottleneck.bars")}
          bars={[
            { label: t.text("bottleneck.plain"), value: plain },
            { label: t.text("bottleneck.total"), value: total },
          ]}
        />
      </Panel>
      <p>{t("bottleneck.read", { ratio: n(ratio, 1), macs50: networks.resnet50.macs, macs34: networks.resnet34.macs })}</p>
    </>
  );
}
