import { Bars, n, Panel, Predict, Question, Slider, Slip, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

/** A 1x1 convolution before a large kernel. */
export function Squeeze({ data, t }: LessonProps) {
  const { channels, side, kernel, filters, reduced, direct, first, second, total } = data.squeeze;
  const [narrow, setNarrow] = useState<number>(reduced);
  const positions = side * side;
  const window = kernel * kernel * filters;
  const squeezed = positions * narrow * (channels + window);
  const even = Math.floor(direct / (positions * (channels + window)));
  const values = { channels, side, kernel, filters, reduced, direct, first, second, total };
  return (
    <>
      <p>{t("squeeze.intro", values)}</p>
      <Predict id="tenth" ask={t("squeeze.ask")} options={["tenth", "half", "more"].map((key) => t(`squeeze.${key}`))} answer={0}>
        <p>{t("squeeze.seen", { ...values, times: n(direct / total, 1) })}</p>
      </Predict>
      <Panel>
        <Slider id="narrow" label={t.text("squeeze.reduced")} value={narrow} min={4} max={channels} step={4} onChange={setNarrow} />
        <Bars
          id="squeezed"
          label={t.text("squeeze.bars")}
          bars={[
            { label: t.text("squeeze.direct"), value: direct },
            { label: t.text("squeeze.total"), value: squeezed },
          ]}
        />
        <p>{t("squeeze.even", { even })}</p>
      </Panel>
      <Slip k="cost" />
      <Question id="small" ask={t("squeeze.question", data.small)}>
        <p>{t("squeeze.answer", data.small)}</p>
      </Question>
    </>
  );
}
