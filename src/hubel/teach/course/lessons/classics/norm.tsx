import { Button, Figure, Formula, Grid, n, Panel, Row, Sign, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

interface Constants {
  n: number;
  k: number;
  alpha: number;
  beta: number;
}

const FORMULA =
  "b_i = \\frac{a_i}{\\left(k + \\alpha \\sum_{j = \\max(0, i - n/2)}^{\\min(N - 1, i + n/2)} a_j^2\\right)^{\\beta}}";

/** Sums of squares of the values within n/2 of each, as the paper's formula has them. */
export function windowSums(values: number[], window: number): number[] {
  const reach = Math.floor(window / 2);
  return values.map((_, i) =>
    values.slice(Math.max(0, i - reach), i + reach + 1).reduce((sum, value) => sum + value * value, 0),
  );
}

/** Local response normalisation of a few maps at one position. */
export function Norm({ data, facts, t }: LessonProps) {
  const paper: Constants = { n: data.norm.n, k: data.norm.k, alpha: data.norm.alpha, beta: data.norm.beta };
  const [values, setValues] = useState<number[]>(data.norm.example);
  const [constants, setConstants] = useState<Constants>(paper);
  const sums = windowSums(values, constants.n);
  const results = values.map((value, i) => value / (constants.k + constants.alpha * sums[i]!) ** constants.beta);
  const set = (name: keyof Constants) => (to: number) => setConstants({ ...constants, [name]: to });
  const exponents = [-4, -3, -2, -1, 0];
  const exponent = exponents.findIndex((power) => Math.abs(constants.alpha / 10 ** power - 1) < 1e-6);
  return (
    <>
      <p>{t("norm.intro")}</p>
      <Formula tex={FORMULA} />
      <p>{t("norm.try", { ...paper, alpha: n(paper.alpha) })}</p>
      <Panel>
        <Row>
          <Figure caption={t("norm.values")}>
            <Grid
              id="norm-values"
              values={[values]}
              onChange={(to) => setValues(to[0]!)}
              min={-100}
              max={100}
              size="large"
              label={t.text("norm.values")}
            />
          </Figure>
          <Sign>→</Sign>
          <Figure caption={t("norm.sums")}>
            <Grid id="norm-sums" values={[sums]} size="large" colour="none" label={t.text("norm.sums")} />
          </Figure>
          <Sign>→</Sign>
          <Figure caption={t("norm.results")}>
            <Grid id="norm-results" values={[results]} digits={2} size="large" full={Math.max(1e-9, ...values.map(Math.abs))} label={t.text("norm.results")} />
          </Figure>
        </Row>
        <Slider id="norm-n" label={t.text("norm.n")} value={constants.n} min={1} max={5} step={2} onChange={set("n")} />
        <Slider id="norm-k" label={t.text("norm.k")} value={constants.k} min={0.5} max={4} step={0.5} onChange={set("k")} />
        <Slider
          id="norm-alpha"
          label={t.text("norm.alpha")}
          value={exponent}
          min={0}
          max={exponents.length - 1}
          step={1}
          onChange={(to) => set("alpha")(10 ** exponents[to]!)}
          format={() => n(constants.alpha)}
        />
        <Slider id="norm-beta" label={t.text("norm.beta")} value={constants.beta} min={0} max={1} step={0.25} onChange={set("beta")} />
        <Button id="norm-paper" quiet onClick={() => setConstants(paper)}>
          {t("norm.paper")}
        </Button>
        <ul>
          {values.map((a, index) => (
            <li key={index}>
              {t("norm.step", {
                i: index + 1,
                a,
                k: constants.k,
                alpha: n(constants.alpha),
                sum: sums[index]!,
                beta: <sup>{n(constants.beta)}</sup>,
                b: n(results[index]!, 3),
              })}
            </li>
          ))}
        </ul>
      </Panel>
      <p>{t("norm.seen", { n: paper.n, k: paper.k, beta: paper.beta, divisor: n(paper.k ** paper.beta, 2) })}</p>
      <p>
        {t("norm.gain", {
          top1: facts.norm_top1!.value,
          top5: facts.norm_top5!.value,
          torch: n(data.norm.torch_alpha),
          alpha: n(paper.alpha),
        })}
      </p>
    </>
  );
}
