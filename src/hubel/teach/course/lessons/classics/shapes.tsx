import { Choice, n, Panel, Row, Result, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";
import { Drawing, shapeText, type Layer, type Network } from "./drawing";

const SHOWN = ["lenet5", "alexnet", "vgg16"];

/** Walk along the layers of a network. */
export function Shapes({ data, facts, t }: LessonProps) {
  const networks: Record<string, Network> = data.networks;
  const [name, setName] = useState(SHOWN[0]!);
  const [at, setAt] = useState(0);
  const network = networks[name]!;
  const layer = network.layers[at]!;
  const label = t.text("shapes.drawing", {
    network: t.text(`network.${name}`),
    number: network.layers.length,
    input: shapeText(network.input),
    outputs: network.layers.at(-1)!.shape[0]!,
  });
  const title = (one: Layer) => one.label || `${t.text(`kind.${one.kind}`)} ${one.number}`;
  const percent = (part: number, whole: number) => t.text("share", { value: n((100 * part) / whole, 1) });
  const years = { lenet: facts.lenet_year!.value, alexnet: facts.alexnet_year!.value, vgg: facts.vgg_year!.value };
  return (
    <>
      <p>{t("shapes.intro", Object.fromEntries(Object.entries(years).map(([key, year]) => [key, String(year)])))}</p>
      <p>{t("shapes.read")}</p>
      <Panel>
        <Choice
          id="network"
          label={t.text("shapes.network")}
          options={SHOWN.map((value) => ({ value, label: t.text(`network.${value}`) }))}
          value={name}
          onChange={(to) => {
            setName(to);
            setAt(0);
          }}
        />
        <Drawing network={network} selected={at} onSelect={setAt} label={label} />
        <Slider
          id="layer"
          label={t.text("shapes.layer")}
          value={at + 1}
          min={1}
          max={network.layers.length}
          step={1}
          onChange={(to) => setAt(to - 1)}
          format={(value) => title(network.layers[value - 1]!)}
        />
        <h3>{title(layer)}</h3>
        <p>
          {t("shapes.takes")} {shapeText(layer.below)}, {t("shapes.makes")} <strong>{shapeText(layer.shape)}</strong>.{" "}
          {layerText({ layer, data, t })}
        </p>
        <Row>
          <Result id="layer-params" value={layer.params} label={`${t.text("params")}, ${percent(layer.params, network.params)}`} />
          <Result id="layer-macs" value={layer.macs} label={`${t.text("macs")}, ${percent(layer.macs, network.macs)}`} />
        </Row>
        <p>
          <small>
            {t("shapes.total")}: {n(network.params)} {t("params")}, {n(network.macs)} {t("macs")}.
          </small>
        </p>
      </Panel>
    </>
  );
}

/** How the cost of a layer comes about. */
function layerText({ layer, data, t }: { layer: Layer; data: any; t: LessonProps["t"] }) {
  const [high, wide] = layer.kernel;
  const channels = layer.below[0]! / layer.groups;
  const filters = layer.shape[0]!;
  const values = { high, wide, channels, filters, field: layer.field, stride: layer.stride, groups: layer.groups };
  if (layer.kind === "dense" || layer.kind === "distances") {
    const inputs = layer.below.reduce((product, length) => product * length, 1);
    return t(`shapes.${layer.kind}`, { inputs, units: filters });
  }
  if (layer.kind !== "conv") return t(`shapes.${layer.kind}`, values);
  if (layer.params !== (high * wide * channels + 1) * filters)
    return t("shapes.sparse", { ...values, pairs: data.lenet.c3.pairs, all: data.lenet.c3.all_pairs });
  const positions = layer.shape[1]! * layer.shape[2]!;
  return (
    <>
      {t("shapes.conv", { ...values, positions })} {layer.groups > 1 && t("shapes.grouped", values)}
    </>
  );
}
