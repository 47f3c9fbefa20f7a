import { Component } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useCourse } from "../app/context";
import { n } from "../app/numbers";

export type Mark = "window" | "wrong" | "result" | undefined;

interface Props {
  values: number[][];
  /** Makes the cells editable. */
  onChange?: (values: number[][]) => void;
  /** Lets the reader point at a cell, by mouse, touch or arrow keys. */
  onPoint?: (row: number, column: number) => void;
  pointed?: [number, number];
  min?: number;
  max?: number;
  step?: number;
  /** Digits after the decimal point; as many as needed if not given. */
  digits?: number;
  /** diverging: blue above zero, orange below. grey: `min` black, `max` white. ink: above zero drawn in ink. */
  colour?: "diverging" | "grey" | "ink" | "none";
  /** Absolute value of the full colour, for diverging; the largest one if not given. */
  full?: number;
  mark?: (row: number, column: number) => Mark;
  label: string;
  size?: "tiny" | "small" | "medium" | "large";
  /** Leave out the numbers. */
  bare?: boolean;
  id?: string;
}

/** Numbers in cells. */
export function Grid(props: Props) {
  const { values, onPoint, pointed, label, id, size = "medium" } = props;
  const full = props.full ?? Math.max(1e-9, ...values.flat().map(Math.abs));
  const [row, column] = pointed ?? [0, 0];
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by || !onPoint) return;
    event.preventDefault();
    onPoint(within(row + by[0]!, values.length), within(column + by[1]!, values[0]!.length));
  };
  const [problem, setProblem] = useState("");
  const frame = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useLayoutEffect(() => {
    const { scrollWidth = 0, clientWidth = 0 } = frame.current ?? {};
    setScrolls(scrollWidth > clientWidth);
  }, []);
  const onPointer = (event: PointerEvent) => {
    const cell = (event.target as Element).closest("td");
    if (cell) onPoint?.((cell.parentElement as HTMLTableRowElement).rowIndex, cell.cellIndex);
  };
  const shown = onPoint && values[row]?.[column];
  return (
    <div
      class={`grid ${size}${onPoint ? " pointing" : ""}`}
      data-id={id}
      data-keys={onPoint ? "" : undefined}
      ref={frame}
      tabIndex={onPoint || scrolls ? 0 : undefined}
      role={onPoint ? "application" : scrolls ? "group" : undefined}
      aria-label={onPoint || scrolls ? label : undefined}
      onKeyDown={onPoint ? onKey : undefined}
    >
      <table aria-label={label} onPointerOver={onPoint && onPointer} onPointerDown={onPoint && onPointer}>
        <tbody>
          {values.map((line, r) => (
            <tr key={r}>
              {line.map((value, c) => (
                <Cell key={c} {...props} value={value} row={r} column={c} full={full} onProblem={setProblem} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {shown !== undefined && (
        <span class="hidden" aria-live="polite">
          {`${row + 1}, ${column + 1}: ${n(shown)}`}
        </span>
      )}
    </div>
  );
}

interface CellProps extends Props {
  value: number;
  row: number;
  column: number;
  full: number;
  /** Says what is wrong with what was typed; "" if nothing is. */
  onProblem: (problem: string) => void;
}

function Cell(props: CellProps) {
  const { value, row, column, values, onChange, bare, mark } = props;
  const own = mark?.(row, column);
  const edge = (r: number, c: number) => values[r]?.[c] === undefined || mark?.(r, c) !== own;
  const edges = own && [
    ...(edge(row - 1, column) ? ["t"] : []),
    ...(edge(row + 1, column) ? ["b"] : []),
    ...(edge(row, column - 1) ? ["l"] : []),
    ...(edge(row, column + 1) ? ["r"] : []),
  ];
  const { name, background, color } = cellLook(props);
  const names = [name, own, ...(edges || []).map((side) => `edge-${side}`)].filter(Boolean).join(" ") || undefined;
  if (onChange)
    return (
      <td class={names} style={{ background, color }} data-value={value}>
        <CellInput {...props} onValue={(to) => onChange(replaced(values, row, column, to))} />
      </td>
    );
  return <Drawn names={names} background={background} color={color} value={value} text={bare ? "" : n(value, props.digits)} />;
}

interface DrawnProps {
  names: string | undefined;
  background: string | undefined;
  color: string | undefined;
  value: number;
  text: string;
}

/** A cell as it is drawn: a page has thousands, of which an edit changes a few. */
class Drawn extends Component<DrawnProps> {
  override shouldComponentUpdate(next: DrawnProps) {
    const now = this.props;
    return (
      next.value !== now.value ||
      next.text !== now.text ||
      next.names !== now.names ||
      next.background !== now.background ||
      next.color !== now.color
    );
  }

  override render({ names, background, color, value, text }: DrawnProps) {
    return (
      <td class={names} style={{ background, color }} data-value={value}>
        {text}
      </td>
    );
  }
}

function CellInput(props: CellProps & { onValue: (value: number) => void }) {
  const { value, row, column, label, min = -Infinity, max = Infinity, step = 1, onValue, onProblem } = props;
  const { t } = useCourse();
  const [text, setText] = useState(String(value));
  const written = useRef(value);
  useEffect(() => {
    if (written.current !== value) setText(String(value));
    written.current = value;
  }, [value]);
  const send = (to: number) => {
    const inside = Math.min(max, Math.max(min, to));
    onProblem(inside === to ? "" : t.text("grid.range", { low: min, high: max, value: inside }));
    written.current = inside;
    onValue(inside);
    return inside;
  };
  const onInput = (raw: string) => {
    setText(raw);
    const to = numberIn(raw);
    if (to !== null) send(to);
    else if (!BEGUN.test(raw)) onProblem(t.text("grid.noNumber", { text: raw.slice(0, 20), value }));
  };
  const onBlur = () => {
    if (text.trim() === "") onProblem(t.text("grid.empty", { value }));
    else if (numberIn(text) === null) onProblem(t.text("grid.noNumber", { text: text.slice(0, 20), value }));
    setText(String(value));
  };
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowUp: step, ArrowDown: -step }[event.key];
    if (!by) return;
    event.preventDefault();
    setText(String(send(Math.round((value + by) * 1e6) / 1e6)));
  };
  return (
    <input
      value={text}
      inputMode="decimal"
      aria-label={`${label}: ${row + 1}, ${column + 1}`}
      onInput={(event) => onInput(event.currentTarget.value)}
      onFocus={(event) => event.currentTarget.select()}
      onBlur={onBlur}
      aria-invalid={text.trim() !== "" && !BEGUN.test(text) && numberIn(text) === null ? "true" : undefined}
      onKeyDown={onKey}
    />
  );
}

/** A number that is being typed. */
const BEGUN = /^\s*[-+\u2212]?[.,]?\s*$/;

/** The number of a cell, with a decimal point or comma; null if it is none. */
function numberIn(raw: string): number | null {
  const to = Number(raw.replace("\u2212", "-").replace(",", "."));
  return raw.trim() !== "" && Number.isFinite(to) ? to : null;
}

interface Look {
  name?: string;
  background?: string;
  color?: string;
}

function cellLook({ value, colour = "diverging", full, min = 0, max = 1 }: CellProps): Look {
  if (colour === "none") return {};
  if (colour === "ink") return { name: value > 0 ? "ink" : "paper" };
  if (colour === "grey") {
    const level = Math.round((255 * (Math.min(max, Math.max(min, value)) - min)) / (max - min || 1));
    return { background: `rgb(${level} ${level} ${level})`, color: level > 127 ? "#000" : "#fff" };
  }
  const strength = Math.round(60 * Math.min(1, Math.abs(value) / full));
  const from = value >= 0 ? "var(--plus)" : "var(--minus)";
  return { background: `color-mix(in srgb, ${from} ${strength}%, var(--cell))` };
}

function replaced(values: number[][], row: number, column: number, to: number): number[][] {
  return values.map((line, r) => (r === row ? line.map((value, c) => (c === column ? to : value)) : line));
}

const within = (index: number, length: number) => Math.min(Math.max(index, 0), length - 1);
