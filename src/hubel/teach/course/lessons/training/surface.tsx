import { useCourse } from "@parts";
import { bowlLoss, type Bowl, type Weights } from "@math";

interface Path {
  label: string;
  points: Weights[];
}

interface Props {
  shape: Bowl;
  paths: Path[];
  label: string;
  onStart?: (start: Weights) => void;
  id?: string;
}

// The part of the plane that is drawn: weights w1 across and w2 up.
const LEFT = -2.5;
const RIGHT = 5.5;
const LOW = -6.5;
const HIGH = 1.5;
const SIDE = 440; // of the drawing
const RINGS = 9;
const STEP = 0.25; // of the start, by arrow keys
const scale = SIDE / (RIGHT - LEFT);
const px = (w: number) => (w - LEFT) * scale;
const py = (w: number) => (HIGH - w) * scale;

/** The loss of two weights: rings of equal loss, the lowest place, and paths. */
export function Surface({ shape, paths, label, onStart, id }: Props) {
  const { t } = useCourse();
  const [along, across] = shape.eigenvalues;
  const turn = (-Math.atan2(shape.steepest[1], shape.steepest[0]) * 180) / Math.PI;
  const [cx, cy] = [px(shape.minimum[0]), py(shape.minimum[1])];
  const start = paths[0]?.points[0];
  const end = paths.map((path) => path.points.at(-1)!.map((w) => w.toFixed(2)).join(", ")).join("; ");
  const onPoint = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const share = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] as const;
    onStart?.([LEFT + share[0] * (RIGHT - LEFT), HIGH - share[1] * (HIGH - LOW)]);
  };
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowUp: [0, STEP], ArrowDown: [0, -STEP], ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0] }[event.key];
    if (!by || !onStart || !start) return;
    event.preventDefault();
    onStart([clamp(start[0] + by[0]!, LEFT, RIGHT), clamp(start[1] + by[1]!, LOW, HIGH)]);
  };
  return (
    <div class="surface" data-id={id} data-value={start?.join(" ")} data-keys={onStart ? "" : undefined}>
      <svg
        viewBox={`0 0 ${SIDE} ${SIDE}`}
        style={{ width: "100%", maxWidth: `${SIDE}px`, background: "var(--cell)", touchAction: "manipulation" }}
        role={onStart ? "application" : "img"}
        aria-label={`${label}. ${end}`}
        tabindex={onStart ? 0 : undefined} // an attribute of SVG has no capitals
        onPointerDown={onStart && onPoint}
        onKeyDown={onStart && onKey}
      >
        <g class="rings">
          {Array.from({ length: RINGS }, (_, ring) => {
            const excess = 0.004 * 3 ** ring; // of the loss over the lowest
            return (
              <ellipse
                key={ring}
                cx={cx}
                cy={cy}
                rx={scale * Math.sqrt((2 * excess) / along)}
                ry={scale * Math.sqrt((2 * excess) / across)}
                transform={`rotate(${turn} ${cx} ${cy})`}
                fill="none"
                stroke="currentColor"
                stroke-opacity={0.35}
              />
            );
          })}
        </g>
        <path d={`M${cx - 7} ${cy}h14M${cx} ${cy - 7}v14`} stroke="currentColor" stroke-width={2} />
        {paths.map((path, index) => {
          const shown = path.points.filter(([u, v]) => Math.abs(u) < 50 && Math.abs(v) < 50);
          return (
            <g key={path.label} class={`series series-${index % 6}`}>
              <polyline points={shown.map(([u, v]) => `${px(u).toFixed(1)},${py(v).toFixed(1)}`).join(" ")} fill="none" />
              {shown.length <= 250 && shown.map(([u, v], i) => <circle key={i} cx={px(u)} cy={py(v)} r={i ? 2.2 : 5} />)}
            </g>
          );
        })}
        <text class="tick" fill="currentColor" x={SIDE - 8} y={SIDE - 8} text-anchor="end">
          {t.text("hand.weight")} 1 →
        </text>
        <text class="tick" fill="currentColor" x={8} y={16}>
          ↑ {t.text("hand.weight")} 2
        </text>
      </svg>
    </div>
  );
}

/** The losses along a path. */
export function pathLosses(shape: Bowl, path: Weights[]): number[] {
  return path.map((w) => bowlLoss(shape, w));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
