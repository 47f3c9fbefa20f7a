export interface Axis {
  /** Place of a value, from 0 to 1. */
  at: (value: number) => number;
  ticks: number[];
}

/** An axis over values, with round numbers at its ticks. */
export function makeAxis(values: number[], log: boolean, range?: [number, number], count = 5): Axis {
  const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  let [low, high] = range ?? [Math.min(...usable), Math.max(...usable)];
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = log ? [1, 10] : [0, 1];
  return log ? logAxis(low, high) : linearAxis(low, high, count, range !== undefined);
}

function linearAxis(low: number, high: number, count: number, fixed: boolean): Axis {
  if (high === low) [low, high] = [low - 0.5, high + 0.5];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999) ?? rough;
  const from = fixed ? low : Math.floor(low / step + 1e-9) * step;
  const to = fixed ? high : Math.ceil(high / step - 1e-9) * step;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  return { at: (value) => (value - from) / (to - from), ticks };
}

function logAxis(low: number, high: number): Axis {
  const from = Math.floor(Math.log10(low) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(high) - 1e-9));
  const every = Math.max(1, Math.ceil((to - from) / 7));
  const ticks = Array.from({ length: Math.floor((to - from) / every) + 1 }, (_, i) => 10 ** (from + i * every));
  return { at: (value) => (Math.log10(Math.max(value, 1e-300)) - from) / (to - from), ticks };
}

const UNITS: [number, string][] = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** A tick's number in few characters. */
export function tickText(value: number): string {
  const size = Math.abs(value);
  for (const [unit, name] of UNITS) if (size >= unit && size >= 10_000) return sign(`${Number((value / unit).toPrecision(3))}${name}`);
  if (size !== 0 && size < 1e-3) return superscript(value);
  return sign(String(Number(value.toPrecision(4))));
}

const sign = (text: string) => text.replace("-", "\u2212");

function superscript(value: number): string {
  const [factor, power] = value.toExponential(0).split("e") as [string, string];
  const digits = [...power.replace("+", "")].map((d) => (d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(d)])).join("");
  return factor === "1" ? `10${digits}` : sign(`${factor}·10${digits}`);
}
