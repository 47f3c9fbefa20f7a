import { Choice, Formula, n, Panel, Plot, Result, Row, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const FORMULA =
  "\\frac{\\partial a^{[l+2]}}{\\partial a^{[l]}} = \\frac{\\partial z^{[l+2]}}{\\partial a^{[l]}} + 1";

/** A chain of blocks of one value each: what is left of a gradient after each. */
export function Gradient({ data, facts, t }: LessonProps) {
  const [slope, setSlope] = useState<number>(data.chain.slope);
  const [blocks, setBlocks] = useState<number>(data.chain.blocks[0]);
  const passed = Array.from({ length: blocks + 1 }, (_, block) => block);
  const lines = [
    { label: t.text("kind.plain"), factor: slope },
    { label: t.text("kind.residual"), factor: 1 + slope },
  ].map(({ label, factor }) => ({ label, points: passed.map((block) => [block, factor ** block] as [number, number]) }));
  const [plain, residual] = [slope ** blocks, (1 + slope) ** blocks];
  return (
    <>
      <p>{t("gradient.intro")}</p>
      <Formula tex={FORMULA} />
      <p>{t("gradient.try")}</p>
      <Panel>
        <Slider id="slope" label={t.text("gradient.slope")} value={slope} min={0.05} max={1.5} step={0.05} onChange={setSlope} format={(w) => n(w, 2)} />
        <Choice
          id="blocks"
          label={t.text("gradient.blocks")}
          options={data.chain.blocks.map((count: number) => ({ value: count, label: n(count) }))}
          value={blocks}
          onChange={setBlocks}
        />
        <Plot lines={lines} xLabel={t.text("gradient.block")} yLabel={t.text("gradient.size")} logY label={t.text("gradient.plot")} id="chain" />
        <Row>
          <Result id="chain-plain" value={plain} label={t.text("kind.plain")} />
          <Result id="chain-residual" value={residual} label={t.text("kind.residual")} />
        </Row>
      </Panel>
      <p>{t("gradient.after", { blocks, plain: n(plain), residual: n(residual) })}</p>
      <p>{t("gradient.paths", { paths: <>2<sup>{blocks}</sup></>, year: String(facts.paths_year!.value) })}</p>
    </>
  );
}
