import { n, Panel, Predict, Result, Row, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const CELL = 15;
const GAP = 7;
const LABEL = 86;

/** Maps that grow by concatenation: each layer's new maps in a colour of their own. */
function Stacks({ start, growth, layers, t }: { start: number; growth: number; layers: number; t: LessonProps["t"] }) {
  const most = start + growth * layers;
  const rows = Array.from({ length: layers + 1 }, (_, layer) => layer);
  const width = LABEL + most * CELL + 44;
  const height = rows.length * (CELL + GAP);
  const label = `${t.text("dense.picture")}: ${rows.map((layer) => n(start + growth * layer)).join(", ")}`;
  return (
    <div class="table" tabIndex={0} role="region" aria-label={label}>
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label} data-id="stacks">
        {rows.map((layer) => {
          const y = layer * (CELL + GAP);
          const maps = start + growth * layer;
          return (
            <g key={layer}>
              <text x={0} y={y + CELL / 2} dy="0.35em" font-size={12.5} fill="var(--soft)">
                {layer ? t.text("dense.after", { number: layer }) : t.text("dense.begin")}
              </text>
              {Array.from({ length: maps }, (_, map) => {
                const made = map < start ? 0 : Math.floor((map - start) / growth) + 1;
                return (
                  <rect
                    key={map}
                    x={LABEL + map * CELL}
                    y={y}
                    width={CELL - 2}
                    height={CELL}
                    rx={2}
                    fill={made ? `var(--series-${(made - 1) % 6})` : "var(--edge)"}
                    fill-opacity={made === layer ? 1 : 0.45}
                  />
                );
              })}
              <text x={LABEL + maps * CELL + 6} y={y + CELL / 2} dy="0.35em" font-size={12.5} font-weight={650} fill="var(--ink)">
                {n(maps)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** Dense concatenation, with small numbers and with those of DenseNet. */
export function Dense({ data, t }: LessonProps) {
  const { start, growth: usual, after, paper_growth, inputs, out, depths, params, resnet } = data.dense;
  const [layers, setLayers] = useState(4);
  const [growth, setGrowth] = useState<number>(usual);
  return (
    <>
      <p>{t("dense.intro", { growth: usual })}</p>
      <Predict
        id="second"
        ask={t("dense.ask", { start, growth: usual })}
        options={[start, usual, after].map((maps: number) => n(maps))}
        answer={2}
      >
        <p>
          {n(start)} + {n(usual)} = {n(after)}
        </p>
      </Predict>
      <Panel>
        <Slider id="dense-layers" label={t.text("dense.layers")} value={layers} min={1} max={6} step={1} onChange={setLayers} />
        <Slider id="dense-growth" label={t.text("dense.growth")} value={growth} min={1} max={8} step={1} onChange={setGrowth} />
        <Stacks start={start} growth={growth} layers={layers} t={t} />
        <Row>
          <Result id="dense-maps" value={start + growth * layers} label={t.text("dense.result")} />
          <Result id="dense-added" value={start} label={t.text("dense.added")} />
          <Result id="dense-pairs" value={(layers * (layers + 1)) / 2} label={t.text("dense.pairs")} />
        </Row>
      </Panel>
      <p>{t("dense.read", { layers: depths[0], paper: paper_growth, inputs: inputs.map((maps: number) => n(maps)).join(", "), out })}</p>
      <p>{t("dense.saves", { params, resnet })}</p>
    </>
  );
}
