import {
  Bars, Choice, DataTable, Fact, Figure, Formula, Grid, Panel, Predict, Question, Result, Row, Sign, Slider, Slip, Step, n,
  type LessonProps, type T,
} from "@parts";
import { conv2d, outputSize, under, type Matrix } from "@math";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { SlidingRow } from "./SlidingRow";

export default function Page({ data, t }: LessonProps) {
  return (
    <>
      <Sliding t={t} start={data.sliding} />
      <Same t={t} />
      <Channels t={t} data={data} />
      <Maps t={t} />
      <Cost t={t} start={data.layer} />
      <AlexNet t={t} found={data.alexnet} />
    </>
  );
}

type Padding = "valid" | "same" | "number";

function Sliding({ t, start }: { t: T; start: any }) {
  const [length, setLength] = useState<number>(start.length);
  const [kernel, setKernel] = useState<number>(start.kernel);
  const [stride, setStride] = useState<number>(start.stride);
  const [number, setNumber] = useState<number>(start.padding);
  const [dilation, setDilation] = useState<number>(start.dilation);
  const [kind, setKind] = useState<Padding>("valid");
  const span = dilation * (kernel - 1) + 1;
  const padding = kind === "valid" ? 0 : kind === "same" ? Math.floor((span - 1) / 2) : number;
  const outputs = outputSize(length, kernel, stride, padding, dilation);
  const left = outputs ? length + 2 * padding - ((outputs - 1) * stride + span) : 0;
  const first = outputSize(start.length, start.kernel, start.stride, start.padding, start.dilation);
  const guesses = [start.length - start.kernel + 1, first, Math.ceil(start.length / start.stride)];
  return (
    <Step id="slide" title={t.text("slide.title")}>
      <p>{t("slide.text")}</p>
      <Predict
        id="slide-predict"
        ask={t("slide.ask", { length: start.length, kernel: start.kernel, stride: start.stride })}
        options={guesses.map((value) => n(value))}
        answer={1}
      >
        <p>{t("slide.why", { length: start.length, kernel: start.kernel, stride: start.stride, outputs: first })}</p>
      </Predict>
      <Panel id="slide-try">
        <Slider id="slide-length" label={t.text("slide.length")} value={length} min={1} max={16} step={1} onChange={setLength} />
        <Slider id="slide-kernel" label={t.text("slide.kernel")} value={kernel} min={1} max={7} step={1} onChange={setKernel} />
        <Slider id="slide-stride" label={t.text("slide.stride")} value={stride} min={1} max={4} step={1} onChange={setStride} />
        <Slider id="slide-dilation" label={t.text("slide.dilation")} value={dilation} min={1} max={3} step={1} onChange={setDilation} />
        <Choice<Padding>
          id="slide-kind"
          label={t.text("slide.padding")}
          options={(["valid", "same", "number"] as const).map((value) => ({ value, label: t.text(`slide.${value}`) }))}
          value={kind}
          onChange={setKind}
        />
        {kind === "number" && (
          <Slider id="slide-padding" label={t.text("slide.padding")} value={number} min={0} max={4} step={1} onChange={setNumber} />
        )}
        <SlidingRow
          id="slide-row"
          {...{ length, kernel, stride, padding, dilation }}
          label={t.text("slide.drawing", { length, outputs })}
        />
        <Formula
          id="slide-formula"
          tex={`\\lfloor \\frac{${length} + 2 \\times ${padding} - ${dilation} \\times (${kernel} - 1) - 1}{${stride}} \\rfloor + 1 = ${outputs}`}
        />
        <Row>
          <Result id="slide-outputs" label={t.text("slide.outputs")} value={outputs} />
          <Result id="slide-span" label={t.text("slide.span")} value={span} />
          <Result id="slide-left" label={t.text("slide.left")} value={left} />
        </Row>
        <p>
          {outputs === 0
            ? t("slide.nothing", { span })
            : left > 0
              ? t("slide.rest", { left })
              : t("slide.even")}
        </p>
      </Panel>
    </Step>
  );
}

function Same({ t }: { t: T }) {
  const [side, setSide] = useState(28);
  const kernels = [1, 3, 5, 7, 11];
  return (
    <Step id="same" title={t.text("same.title")}>
      <p>{t("same.text")}</p>
      <Slider id="same-side" label={t.text("same.side")} value={side} min={12} max={224} step={1} onChange={setSide} />
      <DataTable
        id="same-table"
        label={t.text("same.table")}
        head={[t("same.kernel"), t("same.padding"), t("same.with"), t("same.without"), t("same.ten")]}
        rows={kernels.map((kernel) => {
          const without = outputSize(side, kernel);
          const ten = side - 10 * (kernel - 1);
          return [`${kernel}×${kernel}`, (kernel - 1) / 2, outputSize(side, kernel, 1, (kernel - 1) / 2), without, Math.max(0, ten)];
        })}
      />
      <p>{t("same.even")}</p>
    </Step>
  );
}

/** Parts that stay on one line on narrow screens. */
const Together = ({ children }: { children: ComponentChildren }) => (
  <div style={{ display: "flex", alignItems: "center", gap: "14px" }}>{children}</div>
);

function Channels({ t, data }: { t: T; data: any }) {
  const [maps, setMaps] = useState<Matrix[]>(data.maps);
  const [filters, setFilters] = useState<Matrix[][]>(data.kernels);
  const [chosen, setChosen] = useState(0);
  const [place, setPlace] = useState<[number, number]>([0, 0]);
  const biases: number[] = data.biases;
  const partial = filters.map((kernels) => kernels.map((kernel, channel) => conv2d(maps[channel]!, kernel)));
  const outputs = partial.map((results, filter) =>
    results[0]!.map((row, r) => row.map((_, c) => results.reduce((sum, result) => sum + result[r]![c]!, biases[filter]!))),
  );
  const [row, column] = place;
  const side = filters[0]![0]!.length;
  const sums = partial[chosen]!.map((result) => result[row]![column]!);
  const replace = <Item,>(items: Item[], at: number, to: Item) => items.map((item, index) => (index === at ? to : item));
  const inWindow = (r: number, c: number) => r >= row && r < row + side && c >= column && c < column + side;
  const bracket = (value: number) => (value < 0 ? `(${n(value)})` : n(value));
  return (
    <Step id="channels" title={t.text("channels.title")}>
      <p>{t("channels.text", { channels: maps.length, filters: filters.length })}</p>
      <Panel id="channels-try">
        <Choice
          id="channels-filter"
          label={t.text("channels.choose")}
          options={filters.map((_, index) => ({ value: index, label: t.text("channels.filter", { number: index + 1 }) }))}
          value={chosen}
          onChange={setChosen}
        />
        {maps.map((map, channel) => (
          <Row key={channel}>
            <Together>
              <Figure caption={t("channels.map", { number: channel + 1 })}>
                <Grid
                  id={`channels-map-${channel}`}
                  values={map}
                  onChange={(to) => setMaps(replace(maps, channel, to))}
                  mark={(r, c) => (inWindow(r, c) ? "window" : undefined)}
                  colour="none"
                  size="small"
                  label={t.text("channels.map", { number: channel + 1 })}
                />
              </Figure>
              <Sign>∗</Sign>
              <Figure caption={t("channels.kernel", { number: channel + 1 })}>
                <Grid
                  id={`channels-kernel-${channel}`}
                  values={filters[chosen]![channel]!}
                  onChange={(to) => setFilters(replace(filters, chosen, replace(filters[chosen]!, channel, to)))}
                  full={2}
                  size="small"
                  label={t.text("channels.kernel", { number: channel + 1 })}
                />
              </Figure>
            </Together>
            <Together>
              <Sign>→</Sign>
              <Figure caption={t("channels.products")}>
                <Grid
                  id={`channels-products-${channel}`}
                  values={under(map, row, column, side, side).map((line, r) =>
                    line.map((value, c) => value * filters[chosen]![channel]![r]![c]!),
                  )}
                  full={4}
                  size="small"
                  label={t.text("channels.products")}
                />
              </Figure>
              <Result id={`channels-sum-${channel}`} label={t.text("channels.sum")} value={sums[channel]!} />
            </Together>
          </Row>
        ))}
        <p data-id="channels-total" data-value={outputs[chosen]![row]![column]}>
          {t("channels.total")} {sums.map(bracket).join(" + ")} + {bracket(biases[chosen]!)} ={" "}
          <strong>{n(outputs[chosen]![row]![column]!)}</strong>
        </p>
        <Row>
          {outputs.map((output, filter) => (
            <Figure key={filter} caption={t("channels.output", { number: filter + 1 })}>
              <Grid
                id={`channels-output-${filter}`}
                values={output}
                onPoint={(r, c) => {
                  setChosen(filter);
                  setPlace([r, c]);
                }}
                pointed={place}
                mark={(r, c) => (filter === chosen && r === row && c === column ? "result" : undefined)}
                full={12}
                label={t.text("channels.output", { number: filter + 1 })}
              />
            </Figure>
          ))}
        </Row>
        <p>{t("channels.point")}</p>
      </Panel>
      <p>
        {t("channels.count", {
          side,
          channels: maps.length,
          filters: filters.length,
          parameters: data.small.parameters,
          multiplications: data.small.multiplications,
        })}
      </p>
    </Step>
  );
}

function Maps({ t }: { t: T }) {
  const [channels, filters] = [3, 64];
  return (
    <Step id="maps" title={t.text("maps.title")}>
      <Predict
        id="maps-predict"
        ask={t("maps.ask", { channels, filters })}
        options={[n(channels), n(filters), n(channels * filters)]}
        answer={1}
      >
        <p>{t("maps.why", { channels, filters })}</p>
        <Slip k="maps" />
      </Predict>
    </Step>
  );
}

function Cost({ t, start }: { t: T; start: any }) {
  const [side, setSide] = useState<number>(start.side);
  const [channels, setChannels] = useState<number>(start.channels);
  const [filters, setFilters] = useState<number>(start.filters);
  const [kernel, setKernel] = useState<number>(start.kernel);
  const weights = kernel * kernel * channels * filters;
  const [inputs, outputs] = [side * side * channels, side * side * filters];
  const dense = inputs * outputs;
  return (
    <Step id="cost" title={t.text("cost.title")}>
      <p>{t("cost.text")}</p>
      <Panel id="cost-try">
        <Slider id="cost-side" label={t.text("cost.side")} value={side} min={1} max={224} step={1} onChange={setSide} />
        <Slider id="cost-channels" label={t.text("cost.channels")} value={channels} min={1} max={512} step={1} onChange={setChannels} />
        <Slider id="cost-filters" label={t.text("cost.filters")} value={filters} min={1} max={512} step={1} onChange={setFilters} />
        <Slider id="cost-kernel" label={t.text("cost.kernel")} value={kernel} min={1} max={11} step={2} onChange={setKernel} />
        <DataTable
          id="cost-table"
          label={t.text("cost.table")}
          head={[t("cost.layer"), t("cost.parameters"), t("cost.multiplications")]}
          rows={[
            [t("cost.convolution"), weights + filters, weights * side * side],
            [t("cost.dense"), dense + outputs, dense],
          ]}
        />
        <p>
          {t("cost.formula", {
            weights: `${n(kernel)} × ${n(kernel)} × ${n(channels)} × ${n(filters)}`,
            count: weights,
            positions: `${n(side)} × ${n(side)}`,
            multiplications: weights * side * side,
          })}
        </p>
        <Bars
          id="cost-bars"
          label={t.text("cost.bars")}
          bars={[
            { label: t.text("cost.convolution"), value: weights + filters },
            { label: t.text("cost.dense"), value: dense + outputs },
          ]}
        />
        <p>{t("cost.ratio", { ratio: Math.round((dense + outputs) / (weights + filters)) })}</p>
      </Panel>
      <p>{t("cost.why")}</p>
      <Slip k="cost" />
    </Step>
  );
}

function AlexNet({ t, found }: { t: T; found: any }) {
  return (
    <Step id="question" title={t.text("ask.title")}>
      <Question
        id="question-alexnet"
        ask={t("ask.ask", {
          image: <Fact name="alexnet_image" />,
          kernel: <Fact name="alexnet_kernel" />,
          stride: <Fact name="alexnet_stride" />,
          map: <Fact name="alexnet_map" />,
        })}
      >
        <p>{t("ask.formula")}</p>
        <DataTable
          id="question-table"
          label={t.text("ask.table")}
          head={[t("ask.image"), t("ask.padding"), t("ask.exact"), t("ask.side")]}
          rows={[
            [<Fact name="alexnet_image" />, 0, found.printed_exact, found.printed_side],
            [n(found.larger), 0, found.larger_exact, found.larger_side],
            [<Fact name="alexnet_image" />, found.padding, found.padded_exact, found.padded_side],
          ]}
        />
        <p>{t("ask.answer", { larger: found.larger, padding: found.padding, side: found.larger_side })}</p>
        <Slip k="alexnet_input" />
      </Question>
    </Step>
  );
}
