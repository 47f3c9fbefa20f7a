import type { Matrix } from "./convolution";

export interface TransposedOptions {
  stride?: number;
  padding?: number;
  /** Rows and columns added below and to the right. */
  outputPadding?: number;
}

/** Output size of a transposed convolution: (n - 1) s - 2p + k + o. */
export function transposedSize(size: number, kernel: number, stride = 1, padding = 0, outputPadding = 0): number {
  return Math.max(0, (size - 1) * stride - 2 * padding + kernel + outputPadding);
}

/** Stamp the kernel, times each value of the map, onto the output, `stride` apart; stamps that overlap are added. */
export function transposedConv2d(map: Matrix, kernel: Matrix, options: TransposedOptions = {}): Matrix {
  const { stride = 1, padding = 0, outputPadding = 0 } = options;
  const rows = transposedSize(map.length, kernel.length, stride, padding, outputPadding);
  const columns = transposedSize(map[0]?.length ?? 0, kernel[0]?.length ?? 0, stride, padding, outputPadding);
  const result: Matrix = Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
  map.forEach((line, r) =>
    line.forEach((value, c) =>
      kernel.forEach((weights, i) => {
        const target = result[r * stride - padding + i];
        if (!target) return;
        weights.forEach((weight, j) => {
          const column = c * stride - padding + j;
          if (column >= 0 && column < columns) target[column]! += value * weight;
        });
      }),
    ),
  );
  return result;
}

/** Repeat each value in rows and columns. */
export function upsampleNearest(map: Matrix, factor = 2): Matrix {
  return Array.from({ length: map.length * factor }, (_, r) =>
    Array.from({ length: (map[0]?.length ?? 0) * factor }, (_, c) => map[Math.floor(r / factor)]![Math.floor(c / factor)]!),
  );
}

/** Enlarge a map by linear interpolation between the centres of its pixels; edges are repeated. */
export function enlargeBilinear(map: Matrix, height: number, width: number): Matrix {
  const at = (index: number, side: number, from: number) => {
    const place = Math.min(from - 1, Math.max(0, ((index + 0.5) * from) / side - 0.5));
    const low = Math.floor(place);
    return { low, high: Math.min(from - 1, low + 1), share: place - low };
  };
  const across = Array.from({ length: width }, (_, c) => at(c, width, map[0]?.length ?? 0));
  return Array.from({ length: height }, (_, r) => {
    const { low, high, share } = at(r, height, map.length);
    return across.map((column) => {
      const mix = (line: number[]) => line[column.low]! * (1 - column.share) + line[column.high]! * column.share;
      return mix(map[low]!) * (1 - share) + mix(map[high]!) * share;
    });
  });
}
