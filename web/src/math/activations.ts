import type { Matrix } from "./convolution";

/** Negative values become zero. */
export function relu(map: Matrix): Matrix {
  return map.map((row) => row.map((value) => Math.max(0, value)));
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Exponentials divided by their sum. */
export function softmax(values: number[]): number[] {
  const largest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
