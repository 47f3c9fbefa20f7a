import type { Matrix } from "./convolution";

export interface PoolingOptions {
  /** Side of the window. */
  size?: number;
  stride?: number;
  /** Keep windows that reach over the border, made smaller; otherwise they are dropped. */
  partial?: boolean;
}

/** The largest value of each window. */
export function maxPool(map: Matrix, options: PoolingOptions = {}): Matrix {
  return pool(map, options, (values) => Math.max(...values));
}

/** The mean of each window. */
export function averagePool(map: Matrix, options: PoolingOptions = {}): Matrix {
  return pool(map, options, (values) => values.reduce((sum, value) => sum + value, 0) / values.length);
}

function pool(map: Matrix, options: PoolingOptions, reduce: (values: number[]) => number): Matrix {
  const { size = 2, stride = size, partial = false } = options;
  const count = (length: number) =>
    partial ? Math.ceil(Math.max(length - size, 0) / stride) + 1 : Math.floor((length - size) / stride) + 1;
  const rows = count(map.length);
  const columns = count(map[0]?.length ?? 0);
  return Array.from({ length: Math.max(rows, 0) }, (_, row) =>
    Array.from({ length: Math.max(columns, 0) }, (_, column) =>
      reduce(
        map.slice(row * stride, row * stride + size).flatMap((line) => line.slice(column * stride, column * stride + size)),
      ),
    ),
  );
}
