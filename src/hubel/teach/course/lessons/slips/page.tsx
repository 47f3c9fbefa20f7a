import { conv1d } from "@math";
import { Bars, Figure, Grid, n, Predict, Question, Row, Slider, Step, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

interface Vgg {
  name: string;
  parameter_share: number;
  mac_share: number;
}

const GROUPS: Record<string, string[]> = {
  basics: ["conv1d", "maps", "cost", "flops"],
  papers: ["lenet_layers", "lenet_pooling", "alexnet_input", "neurons"],
  deeper: ["flatten", "vgg_dense", "googlenet_stem", "residual"],
  claims: ["ensemble", "human"],
};
// Published numbers whose sources stand below the box.
const FACTS: Record<string, string[]> = {
  conv1d: ["convolution.year"],
  maps: ["alexnet.input"],
  cost: ["inception.reduced"],
  flops: ["vgg16.flops"],
  lenet_layers: ["lenet5.parameters"],
  lenet_pooling: ["lenet5.parameters"],
  alexnet_input: ["alexnet.input"],
  neurons: ["alexnet.neurons", "alexnet.neurons_proceedings"],
  flatten: ["vgg16.columns"],
  vgg_dense: ["vgg16.parameters"],
  googlenet_stem: ["googlenet.stem"],
  residual: ["resnet.layers"],
  ensemble: ["alexnet.members", "googlenet.members"],
  human: ["human.images"],
};

export default function Page(props: LessonProps) {
  const { t } = props;
  return (
    <>
      <p>{t("intro")}</p>
      <Try {...props} />
      <Guess {...props} />
      {Object.entries(GROUPS).map(([group, names]) => (
        <Step key={group} id={group} title={t.text(group)}>
          {names.map((name) => (
            <Box key={name} k={name} {...props} />
          ))}
        </Step>
      ))}
      <Ask {...props} />
      <p class="hint">{t("how")}</p>
    </>
  );
}

/** One slip: what notes say stands open; the right value, its reason and its sources unfold. */
function Box({ k, t, data, facts }: LessonProps & { k: string }) {
  const values = data.slips[k];
  const sources = FACTS[k]!.map((name) => facts[name]!.source);
  return (
    <aside class="slip" data-id={`box-${k}`} data-value={values.right} aria-labelledby={`slip-${k}`}>
      <h3 id={`slip-${k}`}>{t(`slip.${k}.title`)}</h3>
      <p class="claim">{t(`slip.${k}.claim`, values)}</p>
      <details>
        <summary>{t("more.right")}</summary>
        <p>
          <strong>{t(`slip.${k}.right`, values)}</strong>
        </p>
        <p>{t(`slip.${k}.why`, values)}</p>
        {t.has(`slip.${k}.differ`) && (
          <p>
            <em>{t("more.differ")}:</em> {t(`slip.${k}.differ`, values)}
          </p>
        )}
        <p class="hint">{sources.join("; ")}.</p>
      </details>
    </aside>
  );
}

function Try({ data, t }: LessonProps) {
  const [row, setRow] = useState<number[][]>([data.row]);
  const [kernel, setKernel] = useState<number[][]>([data.kernel]);
  const [position, setPosition] = useState(0);
  const [values, weights] = [row[0]!, kernel[0]!];
  const result = conv1d(values, weights);
  const at = Math.min(position, result.length - 1);
  const products = weights.map((weight, index) => weight * values[at + index]!);
  return (
    <Step id="try" title={t.text("try.title")}>
      <p>{t("try.text")}</p>
      <Row>
        <Figure title={t("try.row")}>
          <Grid
            id="try-row"
            label={t.text("try.row")}
            values={row}
            onChange={setRow}
            mark={(_, column) => (column >= at && column < at + weights.length ? "window" : undefined)}
          />
        </Figure>
        <Figure title={t("try.kernel")}>
          <Grid id="try-kernel" label={t.text("try.kernel")} values={kernel} onChange={setKernel} />
        </Figure>
        <Figure title={t("try.result")}>
          <Grid
            id="try-result"
            label={t.text("try.result")}
            values={[result]}
            mark={(_, column) => (column === at ? "result" : undefined)}
          />
        </Figure>
      </Row>
      <Slider
        id="try-position"
        label={t.text("try.position")}
        value={at + 1}
        min={1}
        max={result.length}
        step={1}
        onChange={(value) => setPosition(value - 1)}
      />
      <p role="status" data-id="try-sum" data-value={result[at]}>
        {t("try.window", { number: at + 1, products: products.map((one) => n(one)).join(", "), sum: result[at] })}
      </p>
      <Figure title={t("try.flipped")} caption={t("try.flip")}>
        <Grid id="try-flipped" label={t.text("try.flipped")} values={[conv1d(values, weights.slice().reverse())]} />
      </Figure>
    </Step>
  );
}

function Guess({ data, t }: LessonProps) {
  const values = data.slips.vgg_dense;
  const vgg = data.vgg as Vgg[];
  return (
    <Step id="guess" title={t.text("guess.title")}>
      <Predict
        id="guess-vgg"
        ask={t("guess.question")}
        options={[t("guess.both_dense"), t("guess.both_conv"), t("guess.split")]}
        answer={2}
      >
        <p>{t("guess.shown", values)}</p>
        <Bars
          id="guess-bars"
          label={t.text("guess.chart")}
          full={100}
          digits={1}
          bars={vgg.flatMap((one) => [
            { label: t.text("guess.parameters", { name: one.name }), value: one.parameter_share },
            { label: t.text("guess.macs", { name: one.name }), value: one.mac_share },
          ])}
        />
      </Predict>
    </Step>
  );
}

function Ask({ data, t }: LessonProps) {
  const { ask } = data;
  return (
    <Step id="ask" title={t.text("ask.title")}>
      <Question id="ask-parameters" ask={t("ask.ask", ask)}>
        <p data-id="ask-right" data-value={ask.right}>
          {t("ask.answer", ask)}
        </p>
      </Question>
    </Step>
  );
}
