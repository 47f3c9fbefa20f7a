import { Bars, Choice, n, Panel, Slip, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

interface Convolution {
  kernel: number;
  out: number;
}

interface Module {
  channels: number;
  side: number;
  branches: Record<string, Convolution[]>;
  out: number;
  macs: number;
  naive_out: number;
  naive_macs: number;
}

const WIDTH = 640;
const COLUMN = 148;
const BOX = 40;
const COLOURS = ["var(--series-0)", "var(--series-1)", "var(--series-2)", "var(--series-3)"];

/** A module of GoogLeNet as its paper draws it, from below to above. */
function ModuleDrawing({ module, name, t }: { module: Module; name: string; t: LessonProps["t"] }) {
  const branches = Object.entries(module.branches);
  const label = t.text("inception.drawing", { name, channels: module.channels, side: module.side, out: module.out });
  const x = (column: number) => (WIDTH - 4 * COLUMN) / 2 + COLUMN * (column + 0.5);
  const [top, upper, lower, bottom] = [14, 98, 178, 262];
  const box = (column: number, y: number, text: string, fill: string) => (
    <g key={`${column} ${y}`}>
      <rect x={x(column) - COLUMN / 2 + 8} y={y} width={COLUMN - 16} height={BOX} rx={7} fill="var(--raised)" stroke={fill} stroke-width={2} />
      <text x={x(column)} y={y + BOX / 2} dy="0.35em" text-anchor="middle" font-size={13} fill="var(--ink)">
        {text}
      </text>
    </g>
  );
  let from = (WIDTH - 4 * COLUMN) / 2 + 8;
  const stack = 4 * COLUMN - 16;
  return (
    <div class="table" tabIndex={0} role="region" aria-label={label}>
      <svg viewBox={`0 0 ${WIDTH} 318`} width={WIDTH} height={318} role="img" aria-label={label} data-id="module-drawing">
        {branches.map(([branch, convolutions], column) => {
          const fill = COLOURS[column]!;
          const texts = convolutions.map((one) => t.text("inception.conv", { kernel: one.kernel, out: one.out }));
          const boxes = branch === "pool" ? [t.text("inception.pool"), ...texts] : texts;
          const width = (stack * convolutions.at(-1)!.out) / module.out;
          const left = from;
          from += width;
          const ys = boxes.length === 2 ? [lower, upper] : [upper];
          return (
            <g key={branch}>
              <path
                d={`M${WIDTH / 2} ${bottom} L${x(column)} ${lower + BOX} ${boxes.length === 2 ? `M${x(column)} ${lower} ` : ""}V${upper + BOX} M${x(column)} ${upper} L${left + width / 2} ${top + BOX}`}
                stroke="var(--edge)"
                fill="none"
                stroke-width={1.6}
              />
              {boxes.map((text, index) => box(column, ys[index]!, text, fill))}
              <rect x={left} y={top} width={Math.max(0, width - 2)} height={BOX} fill={fill} />
            </g>
          );
        })}
        <text x={WIDTH / 2} y={top - 4} text-anchor="middle" font-size={12.5} fill="var(--soft)">
          {t.text("inception.output", { out: module.out })}
        </text>
        <rect x={WIDTH / 2 - 120} y={bottom} width={240} height={BOX} rx={7} fill="var(--sunken)" stroke="var(--edge)" />
        <text x={WIDTH / 2} y={bottom + BOX / 2} dy="0.35em" text-anchor="middle" font-size={13} fill="var(--ink)">
          {t.text("inception.input", { channels: module.channels, side: module.side })}
        </text>
      </svg>
    </div>
  );
}

/** All modules of GoogLeNet, drawn, with squeezes and without. */
export function Inception({ data, facts, t }: LessonProps) {
  const modules: Record<string, Module> = data.modules;
  const names = Object.keys(modules);
  const [name, setName] = useState(names[0]!);
  const module = modules[name]!;
  return (
    <>
      <p>{t("inception.intro", { year: String(facts.inception_year!.value) })}</p>
      <Panel>
        <Choice
          id="module"
          label={t.text("inception.module")}
          options={names.map((value) => ({ value, label: value }))}
          value={name}
          onChange={setName}
        />
        <ModuleDrawing module={module} name={name} t={t} />
        <div class="figure-title">{t("inception.bars")}</div>
        <Bars
          id="module-macs"
          label={t.text("inception.bars")}
          format={(value) => n(value)}
          bars={[
            { label: t.text("inception.with"), value: module.macs },
            { label: t.text("inception.naive"), value: module.naive_macs },
          ]}
        />
        <p>{t("inception.read", { naive: module.naive_out, out: module.out })}</p>
      </Panel>
      <Slip k="googlenet_stem" />
      <p>{t("inception.total", { params: data.auxiliary.used, times: facts.fewer_than_alexnet!.value })}</p>
    </>
  );
}
