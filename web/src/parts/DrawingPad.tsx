import { useRef, useState } from "preact/hooks";
import { useCourse } from "../app/context";

interface Props {
  rows: number;
  columns: number;
  /** 1 is drawn, 0 is not. */
  values: number[][];
  onChange: (values: number[][]) => void;
  label: string;
  id?: string;
  /** Side of a cell, in pixels of the screen. */
  cell?: number;
}

/** Draw by mouse or touch, or by arrow keys and the space bar. */
export function DrawingPad({ rows, columns, values, onChange, label, id, cell = 30 }: Props) {
  const { t } = useCourse();
  const [at, setAt] = useState<[number, number]>([0, 0]);
  const [focused, setFocused] = useState(false);
  const drawing = useRef<number | null>(null);
  const latest = useRef(values);
  latest.current = values;
  const set = (row: number, column: number, to: number) => {
    if (latest.current[row]?.[column] === undefined || latest.current[row]![column] === to) return;
    const changed = latest.current.map((line, r) => (r === row ? line.map((v, c) => (c === column ? to : v)) : line));
    latest.current = changed;
    onChange(changed);
  };
  const place = (event: PointerEvent): [number, number] => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const share = (offset: number, length: number, count: number) =>
      Math.min(count - 1, Math.max(0, Math.floor((offset / length) * count)));
    return [share(event.clientY - box.top, box.height, rows), share(event.clientX - box.left, box.width, columns)];
  };
  const onDown = (event: PointerEvent) => {
    (event.currentTarget as Element).setPointerCapture?.(event.pointerId);
    const [row, column] = place(event);
    drawing.current = values[row]![column] ? 0 : 1;
    setAt([row, column]);
    set(row, column, drawing.current);
  };
  const onMove = (event: PointerEvent) => {
    if (drawing.current === null) return;
    const [row, column] = place(event);
    set(row, column, drawing.current);
  };
  const onKey = (event: KeyboardEvent) => {
    const [row, column] = at;
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (by) setAt([(row + by[0]! + rows) % rows, (column + by[1]! + columns) % columns]);
    else if (event.key === " ") set(row, column, values[row]![column] ? 0 : 1);
    else return;
    event.preventDefault();
  };
  return (
    <div class="pad" data-id={id}>
      <svg
        viewBox={`0 0 ${columns} ${rows}`}
        style={{ width: `${columns * cell}px` }}
        tabindex={0} // an attribute of SVG has no capitals
        role="application"
        aria-label={`${label}. ${t.text("pad.help")}`}
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerUp={() => (drawing.current = null)}
        onPointerCancel={() => (drawing.current = null)}
        onKeyDown={onKey}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
      >
        {values.map((line, r) =>
          line.map((value, c) => (
            <rect key={`${r} ${c}`} x={c} y={r} width={1} height={1} class={value ? "drawn" : "blank"} />
          )),
        )}
        {focused && <rect class="cursor" x={at[1] + 0.06} y={at[0] + 0.06} width={0.88} height={0.88} />}
      </svg>
      <span class="hidden" aria-live="polite">
        {focused && t.text(values[at[0]]![at[1]] ? "pad.drawn" : "pad.blank", { row: at[0] + 1, column: at[1] + 1 })}
      </span>
    </div>
  );
}
