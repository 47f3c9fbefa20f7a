import { Bars, DataTable, Formula, Panel, Result, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const FORMULA = "\\frac{K^2 C + C N}{K^2 C N} = \\frac{1}{N} + \\frac{1}{K^2}";

/** A depthwise convolution and a 1x1 against a full convolution. */
export function Separable({ data, facts, t }: LessonProps) {
  const { channels, side, network } = data.separable;
  const [kernel, setKernel] = useState<number>(data.separable.kernel);
  const [filters, setFilters] = useState<number>(data.separable.filters);
  const positions = side * side;
  const depthwise = kernel * kernel * channels * positions;
  const pointwise = channels * filters * positions;
  const full = kernel * kernel * channels * filters * positions;
  return (
    <>
      <p>{t("separable.intro")}</p>
      <Panel>
        <Slider id="kernel" label={t.text("separable.kernel")} value={kernel} min={1} max={7} step={2} onChange={setKernel} />
        <Slider id="filters" label={t.text("separable.filters")} value={filters} min={16} max={1024} step={16} onChange={setFilters} />
        <div class="figure-title">{t("separable.bars", { channels, side })}</div>
        <Bars
          id="separable-macs"
          label={t.text("separable.bars", { channels, side })}
          bars={[
            { label: t.text("separable.depthwise"), value: depthwise },
            { label: t.text("separable.pointwise"), value: pointwise },
            { label: t.text("separable.full"), value: full },
          ]}
        />
        <Result id="separable-ratio" value={(100 * (depthwise + pointwise)) / full} digits={1} label={t.text("separable.ratio")} />
      </Panel>
      <p>{t("separable.formula")}</p>
      <Formula tex={FORMULA} />
      <p>{t("separable.read")}</p>
      <DataTable
        id="mobilenet"
        label={t.text("separable.table")}
        head={[t("separable.network"), t("params"), t("macs"), t("separable.top1")]}
        rows={[
          [t("separable.whole"), network.full_params, network.full_macs, facts.mobilenet_full!.value],
          [t("separable.separable"), network.params, network.macs, facts.mobilenet!.value],
        ]}
      />
      <p>{t("separable.agree", { params: facts.mobilenet_full_params!.value, macs: facts.mobilenet_full_macs!.value })}</p>
    </>
  );
}
