import { outputSize } from "@math";

interface Props {
  length: number;
  kernel: number;
  stride: number;
  padding: number;
  dilation: number;
  label: string;
  id?: string;
}

const CELL = 22;
const MOST_ROWS = 18;

/** A row of the padded input, and below it each position of the window with the values that it takes. */
export function SlidingRow({ length, kernel, stride, padding, dilation, label, id }: Props) {
  const cells = length + 2 * padding;
  const outputs = outputSize(length, kernel, stride, padding, dilation);
  const shown = Math.min(outputs, MOST_ROWS);
  const used = outputs ? (outputs - 1) * stride + dilation * (kernel - 1) + 1 : 0;
  const [width, height] = [cells * CELL + 2, (shown + 1) * CELL + 14];
  return (
    <svg
      data-id={id}
      data-value={outputs}
      viewBox={`0 0 ${width} ${height}`}
      style={{ width: "100%", maxWidth: `${width * 1.4}px`, display: "block" }}
      role="img"
      aria-label={label}
    >
      {Array.from({ length: cells }, (_, cell) => {
        const padded = cell < padding || cell >= padding + length;
        return (
          <rect
            key={cell}
            x={1 + cell * CELL}
            y={1}
            width={CELL}
            height={CELL}
            fill={padded ? "var(--sunken)" : cell < used ? "var(--accent-soft)" : "var(--wrong-soft)"}
            stroke={padded ? "var(--edge)" : "var(--accent)"}
            stroke-dasharray={padded ? "3 3" : undefined}
          />
        );
      })}
      {Array.from({ length: shown }, (_, output) => {
        const y = CELL + 14 + output * CELL + CELL / 2;
        const x = (tap: number) => 1 + (output * stride + tap * dilation + 0.5) * CELL;
        return (
          <g key={output}>
            <line x1={x(0)} x2={x(kernel - 1)} y1={y} y2={y} stroke="var(--accent)" stroke-width="2" />
            {Array.from({ length: kernel }, (_, tap) => (
              <rect key={tap} x={x(tap) - 6} y={y - 6} width="12" height="12" rx="3" fill="var(--accent)" />
            ))}
          </g>
        );
      })}
    </svg>
  );
}
