import { n, useCourse } from "@parts";
import { useEffect, useRef } from "preact/hooks";

export interface Layer {
  label: string;
  kind: string;
  number: number;
  shape: number[];
  below: number[];
  kernel: [number, number];
  stride: number;
  groups: number;
  params: number;
  macs: number;
  field: number;
  neurons: number;
}

export interface Network {
  input: number[];
  layers: Layer[];
  params: number;
  macs: number;
  neurons: number;
  weighted: number;
  dense_params: number;
  dense_macs: number;
}

const LEAST_COLUMN = 54;
const MOST_COLUMN = 84;
const PAGE = 700; // width of the text, in pixels
const LEFT = 8;
const TALLEST = 132; // of the first map, in pixels of the drawing
const BAR = 46;
const FILL: Record<string, string> = { conv: "var(--plus)", dense: "var(--minus)", distances: "var(--minus)" };

export const shapeText = (shape: number[]) =>
  shape.length === 3 ? `${n(shape[1]!)} × ${n(shape[2]!)} × ${n(shape[0]!)}` : n(shape[0]!);

interface Props {
  network: Network;
  selected: number;
  onSelect: (index: number) => void;
  label: string;
}

/** A network as a row of boxes: height for the side of its maps, width for their number; bars for its costs. */
export function Drawing({ network, selected, onSelect, label }: Props) {
  const { t } = useCourse();
  const { layers } = network;
  const column = Math.min(MOST_COLUMN, Math.max(LEAST_COLUMN, PAGE / layers.length));
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const room = frame.current;
    if (room) room.scrollLeft = LEFT + column * (selected + 0.5) - room.clientWidth / 2;
  }, [selected, column]);
  const width = LEFT * 2 + column * layers.length;
  const floor = TALLEST + 34;
  const side = (shape: number[]) => (shape.length === 3 ? shape[1]! : 1);
  const maps = (shape: number[]) => (shape.length === 3 ? shape[0]! : 1);
  const tallest = Math.sqrt(network.input[1]!);
  const most = Math.log2(Math.max(...layers.map((layer) => maps(layer.shape))) + 1);
  const widest = Math.log2(Math.max(2, ...layers.map((layer) => (layer.shape.length === 1 ? layer.shape[0]! : 0))));
  const shares = [
    { key: "params", most: Math.max(...layers.map((layer) => layer.params)), fill: "var(--series-3)", top: floor + 58 },
    { key: "macs", most: Math.max(...layers.map((layer) => layer.macs)), fill: "var(--series-2)", top: floor + 58 + BAR + 26 },
  ] as const;
  const height = floor + 58 + 2 * (BAR + 26) + 6;
  return (
    <div class="table" ref={frame} tabIndex={0} role="region" aria-label={label}>
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label} data-id="drawing">
        {layers.map((layer, index) => {
          const flat = layer.shape.length === 1;
          const high = flat
            ? 20 + (TALLEST * 0.6 * Math.log2(layer.shape[0]!)) / widest
            : Math.max(6, (TALLEST * Math.sqrt(side(layer.shape))) / tallest);
          const wide = flat ? 7 : 5 + (22 * Math.log2(maps(layer.shape) + 1)) / most;
          const slant = flat ? 4 : Math.min(11, high * 0.22);
          const x = LEFT + column * index + (column - wide - slant) / 2;
          const y = floor - high;
          const fill = FILL[layer.kind] ?? "var(--soft)";
          const chosen = index === selected;
          return (
            <g key={index} onClick={() => onSelect(index)} style={{ cursor: "pointer" }}>
              <rect
                x={LEFT + column * index + 1}
                y={2}
                width={column - 2}
                height={height - 4}
                rx={8}
                fill={chosen ? "var(--accent-soft)" : "transparent"}
                stroke={chosen ? "var(--accent)" : "none"}
              />
              <path
                d={`M${x} ${y} l${slant} ${-slant} h${wide} l${-slant} ${slant} z M${x + wide} ${y} l${slant} ${-slant} v${high} l${-slant} ${slant} z`}
                fill={fill}
                fill-opacity={0.45}
                stroke={fill}
                stroke-width={0.8}
              />
              <rect x={x} y={y} width={wide} height={high} fill={fill} fill-opacity={0.85} />
              <text x={LEFT + column * (index + 0.5)} y={floor + 16} text-anchor="middle" font-size={12} font-weight={650} fill="var(--ink)">
                {layer.label || t.text(`short.${layer.kind}`)}
              </text>
              <text x={LEFT + column * (index + 0.5)} y={floor + 31} text-anchor="middle" font-size={11} fill="var(--soft)">
                {flat ? n(layer.shape[0]!) : `${side(layer.shape)}×${side(layer.shape)}`}
              </text>
              {!flat && (
                <text x={LEFT + column * (index + 0.5)} y={floor + 45} text-anchor="middle" font-size={11} fill="var(--soft)">
                  × {maps(layer.shape)}
                </text>
              )}
              {shares.map(({ key, most: largest, fill: colour, top }) => {
                const part = layer[key] / largest;
                return (
                  <rect
                    key={key}
                    x={LEFT + column * index + 12}
                    y={top + BAR * (1 - part)}
                    width={column - 24}
                    height={BAR * part}
                    fill={colour}
                  />
                );
              })}
            </g>
          );
        })}
        {shares.map(({ key, top }) => (
          <g key={key}>
            <line x1={LEFT} x2={width - LEFT} y1={top + BAR} y2={top + BAR} stroke="var(--rule)" />
            <text x={LEFT + 4} y={top + BAR + 15} font-size={11.5} fill="var(--soft)">
              {t.text(`shapes.of_${key}`)}
            </text>
          </g>
        ))}
      </svg>
    </div>
  );
}
