import { Bars, DataTable, n, Predict, Question, Slip, Step, type LessonProps } from "@parts";
import { Alexnet } from "./alexnet";
import { Doubling } from "./doubling";
import { Norm } from "./norm";
import { Shapes } from "./shapes";
import { Stack } from "./stack";
import type { Network } from "./drawing";

/** LeNet-5, AlexNet and VGG. */
export default function Page(props: LessonProps) {
  const { data, facts, t } = props;
  const networks: Record<string, Network> = data.networks;
  const names = Object.keys(networks);
  const { c1, c3 } = data.lenet;
  const vgg = networks.vgg16!;
  const hidden = vgg.layers.find((layer) => layer.kind === "dense")!;
  const last = vgg.layers[vgg.layers.indexOf(hidden) - 1]!;
  const [maps, side] = [last.shape[0]!, last.shape[1]!];
  const units = hidden.shape[0]!;
  return (
    <>
      <Step id="shapes" title={t.text("shapes.title")}>
        <Shapes {...props} />
      </Step>
      <Step id="count" title={t.text("count.title")}>
        <Predict
          id="c1"
          ask={t("count.ask", c1)}
          options={[c1.no_bias, c1.params, c1.connections, c1.dense].map((count: number) => n(count))}
          answer={1}
        >
          <p>{t("count.seen", { ...c1, one: c1.params / c1.maps })}</p>
        </Predict>
        <p>{t("count.c3", { ...c3, all: c3.all_pairs })}</p>
        <p>
          {t("count.total", {
            connections: facts.lenet_connections!.value,
            params: facts.lenet_params!.value,
            ours: networks.lenet5!.params,
            popular: networks.lenet5_modern!.params,
          })}
        </p>
        <Slip k="lenet_layers" />
        <Slip k="lenet_pooling" />
      </Step>
      <Step id="alexnet" title={t.text("alexnet.title")}>
        <Alexnet {...props} />
      </Step>
      <Step id="norm" title={t.text("norm.title")}>
        <Norm {...props} />
      </Step>
      <Step id="doubling" title={t.text("doubling.title")}>
        <Doubling {...props} />
      </Step>
      <Step id="stack" title={t.text("stack.title")}>
        <Stack {...props} />
      </Step>
      <Step id="where" title={t.text("where.title")}>
        <Predict
          id="where-predict"
          ask={t("where.ask", { params: vgg.params, macs: vgg.macs })}
          options={["conv_both", "dense_both", "split", "opposite"].map((key) => t(`where.${key}`))}
          answer={2}
        >
          <p>{t("where.seen", { dense_params: n(vgg.dense_params, 1), dense_macs: n(vgg.dense_macs, 1) })}</p>
        </Predict>
        {(["dense_params", "dense_macs"] as const).map((what) => (
          <figure key={what}>
            <div class="figure-title">{t(`where.${what}`)}</div>
            <Bars
              id={what}
              label={t.text(`where.${what}`)}
              full={100}
              digits={1}
              bars={names.map((name) => ({ label: t.text(`network.${name}`), value: networks[name]![what] }))}
            />
          </figure>
        ))}
        <DataTable
          id="networks"
          label={t.text("where.table")}
          head={[t("where.network"), t("where.weighted"), t("params"), t("macs"), t("where.neurons")]}
          rows={names.map((name) => {
            const { weighted, params, macs, neurons } = networks[name]!;
            return [t(`network.${name}`), weighted, params, macs, neurons];
          })}
        />
        <Slip k="vgg_dense" />
        <Slip k="flatten" />
        <Question id="mean" ask={t("where.question", { maps, side })}>
          <p>
            {t("where.answer", {
              side,
              maps,
              flat: side * side * maps,
              units,
              weights: side * side * maps * units,
              mean_weights: maps * units,
              times: side * side,
            })}
          </p>
        </Question>
      </Step>
    </>
  );
}
