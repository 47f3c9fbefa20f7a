import { n } from "../app/numbers";
import { makeAxis, tickText } from "./axes";
import { useWidth } from "./useWidth";

export interface Line {
  label: string;
  points: [number, number][];
  /** Draw points without a line between them. */
  scatter?: boolean;
}

interface Props {
  lines: Line[];
  xLabel: string;
  yLabel: string;
  logX?: boolean;
  logY?: boolean;
  xRange?: [number, number];
  yRange?: [number, number];
  /** Points that are named on the plot. */
  marks?: { x: number; y: number; label: string }[];
  height?: number;
  /** Text alternative. */
  label: string;
  id?: string;
}

const MARGIN = { left: 60, right: 14, top: 12, bottom: 46 };

/** Lines over two axes. */
export function Plot({ lines, xLabel, yLabel, logX, logY, xRange, yRange, marks = [], height = 280, label, id }: Props) {
  const [frame, width] = useWidth<HTMLDivElement>(560);
  const points = [...lines.flatMap((line) => line.points), ...marks.map(({ x, y }) => [x, y] as [number, number])];
  const inner = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom] as const;
  const xs = makeAxis(points.map(([x]) => x), logX ?? false, xRange, width < 420 ? 4 : 6);
  const ys = makeAxis(points.map(([, y]) => y), logY ?? false, yRange);
  const px = (x: number) => MARGIN.left + inner[0] * xs.at(x);
  const py = (y: number) => MARGIN.top + inner[1] * (1 - ys.at(y));
  // A name stands left of its point where there is no room at the right, or another point.
  const leftOf = (mark: { x: number }) =>
    xs.at(mark.x) > 0.6 || marks.some(({ x }) => x > mark.x && xs.at(x) - xs.at(mark.x) < 0.1);
  // It stands below its point where another is drawn above, or no room is left.
  const below = (mark: { y: number }, index: number) => index % 2 === 1 || py(mark.y) < 26;
  const drawable = ([x, y]: [number, number]) => Number.isFinite(px(x)) && Number.isFinite(py(y)) && (!logY || y > 0);
  return (
    <div class="plot" ref={frame} data-id={id}>
      <svg viewBox={`0 0 ${width} ${height}`} height={height} role="img" aria-label={`${label} ${ends(lines)}`}>
        {ys.ticks.map((tick) => (
          <g key={tick}>
            <line class="rule" x1={MARGIN.left} x2={width - MARGIN.right} y1={py(tick)} y2={py(tick)} />
            <text class="tick" x={MARGIN.left - 8} y={py(tick)} dy="0.35em" text-anchor="end">
              {tickText(tick)}
            </text>
          </g>
        ))}
        {xs.ticks.map((tick) => (
          <text key={tick} class="tick" x={px(tick)} y={height - MARGIN.bottom + 18} text-anchor="middle">
            {tickText(tick)}
          </text>
        ))}
        <line class="axis" x1={MARGIN.left} x2={width - MARGIN.right} y1={py0()} y2={py0()} />
        <text class="axis-label" x={MARGIN.left + inner[0] / 2} y={height - 6} text-anchor="middle">
          {xLabel}
        </text>
        <text class="axis-label" text-anchor="middle" transform={`translate(13 ${MARGIN.top + inner[1] / 2}) rotate(-90)`}>
          {yLabel}
        </text>
        {lines.map((line, index) => {
          const shown = line.points.filter(drawable);
          const path = shown.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
          return (
            <g key={line.label} class={`series series-${index % 6}`}>
              {!line.scatter && <polyline points={path} />}
              {(line.scatter || shown.length < 15) &&
                shown.map(([x, y], i) => <circle key={i} cx={px(x)} cy={py(y)} r={line.scatter ? 3.5 : 3} />)}
            </g>
          );
        })}
        {marks.map((mark, index) => (
          <g key={mark.label} class="mark">
            <circle cx={px(mark.x)} cy={py(mark.y)} r={6} />
            <text
              x={px(mark.x) + (leftOf(mark) ? -10 : 10)}
              y={py(mark.y) + (below(mark, index) ? 20 : -10)}
              text-anchor={leftOf(mark) ? "end" : "start"}
            >
              {mark.label}
            </text>
          </g>
        ))}
      </svg>
      {lines.length > 1 && (
        <ul class="legend" aria-hidden="true">
          {lines.map((line, index) => (
            <li key={line.label} class={`series-${index % 6}`}>
              <svg viewBox="0 0 24 8" width="24" height="8">
                {line.scatter ? <circle cx="12" cy="4" r="3.5" /> : <polyline points="0,4 24,4" />}
              </svg>
              {line.label}
            </li>
          ))}
        </ul>
      )}
    </div>
  );

  function py0() {
    return height - MARGIN.bottom;
  }
}

/** First and last value of each line, for those who do not see it. */
function ends(lines: Line[]): string {
  return lines
    .filter((line) => line.points.length > 1 && !line.scatter)
    .map((line) => `${line.label}: ${n(line.points[0]![1])} → ${n(line.points.at(-1)![1])}.`)
    .join(" ");
}
