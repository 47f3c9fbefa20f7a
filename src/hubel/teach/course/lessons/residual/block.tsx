import { relu } from "@math";
import { Button, Figure, Formula, Grid, n, Panel, Predict, Row, Slider, Slip, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const FORMULA = "a^{[l+2]} = g\\left(z^{[l+2]} + a^{[l]}\\right)";

interface Values {
  a: number[];
  w1: number[][];
  b1: number[];
  w2: number[][];
  b2: number[];
}

const rectified = (values: number[]) => relu([values])[0]!;
const column = (values: number[]) => values.map((value) => [value]);
const layer = (weights: number[][], input: number[], biases: number[], scale: number) =>
  weights.map((row, i) => scale * (row.reduce((sum, weight, j) => sum + weight * input[j]!, 0) + biases[i]!));

/** One block of two layers, without a shortcut and with it; every number can be changed. */
export function Block({ data, t }: LessonProps) {
  const { a, w1, b1, w2, b2 } = data.block;
  const start: Values = { a, w1, b1, w2, b2 };
  const [values, setValues] = useState(start);
  const [scale, setScale] = useState(1);
  const z1 = layer(values.w1, values.a, values.b1, scale);
  const a1 = rectified(z1);
  const z2 = layer(values.w2, a1, values.b2, scale);
  const computed = {
    z1,
    a1,
    z2,
    plain: rectified(z2),
    residual: rectified(z2.map((value, i) => value + values.a[i]!)),
  };
  const full = 5;
  const given = (name: keyof Values) => {
    const shown = values[name];
    const flat = !Array.isArray(shown[0]);
    return (
      <Figure key={name} caption={t(`block.${name}`)}>
        <Grid
          id={`block-${name}`}
          values={flat ? column(shown as number[]) : (shown as number[][])}
          onChange={(to) => setValues({ ...values, [name]: flat ? to.map((row) => row[0]!) : to })}
          min={-9}
          max={9}
          full={full}
          label={t.text(`block.label.${name}`)}
        />
      </Figure>
    );
  };
  const found = (name: keyof typeof computed) => (
    <Figure key={name} caption={t(`block.${name}`)}>
      <Grid
        id={`block-${name}`}
        values={column(computed[name])}
        digits={scale === 1 ? undefined : 2}
        full={full}
        mark={name === "residual" ? (r, c) => (r in computed.residual && c === 0 ? "result" : undefined) : undefined}
        label={t.text(`block.label.${name}`)}
      />
    </Figure>
  );
  return (
    <>
      <p>{t("block.intro")}</p>
      <Formula tex={FORMULA} />
      <p>{t("block.try")}</p>
      <Panel>
        <Row align="top">{(["a", "w1", "b1", "w2", "b2"] as const).map(given)}</Row>
        <Slider id="scale" label={t.text("block.scale")} value={scale} min={0} max={1} step={0.05} onChange={setScale} format={(x) => n(x, 2)} />
        <Row align="top">{(["z1", "a1", "z2"] as const).map(found)}</Row>
        <Row align="top">{(["plain", "residual"] as const).map(found)}</Row>
        <Button
          id="block-reset"
          quiet
          onClick={() => {
            setValues(start);
            setScale(1);
          }}
        >
          {t("block.reset")}
        </Button>
      </Panel>
      <Predict id="identity" ask={t("block.ask")} options={["zeros", "itself", "half"].map((key) => t(`block.${key}`))} answer={1}>
        <p>{t("block.seen", { a: start.a.map((value) => n(value)).join(", ") })}</p>
      </Predict>
      <Slip k="residual" />
      <p>{t("block.shapes")}</p>
    </>
  );
}
