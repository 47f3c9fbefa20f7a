import { conv2d, matchMap, maxPool, relu, sigmoid, type Matrix } from "@math";

/** Weights of the lesson's network: patterns (3, 3, 3), arrangements (2, 3, 3, 3), output (2, 8), bias (2). */
export interface Weights {
  patterns: Matrix[];
  arrangements: Matrix[][];
  output: Matrix;
  bias: number[];
}

/** All values of a forward pass, in order. */
export interface Trace {
  matches: Matrix[];
  rectified: Matrix[];
  pooled: Matrix[];
  arranged: Matrix[];
  flat: number[];
  sums: number[];
  outputs: number[];
}

/** Run the network on an image of -1 and +1. */
export function forward(weights: Weights, image: Matrix): Trace {
  const matches = weights.patterns.map((pattern) => matchMap(image, pattern));
  const rectified = matches.map(relu);
  const pooled = rectified.map((map) => maxPool(map, { partial: true }));
  const arranged = weights.arrangements.map((channels) => {
    const maps = channels.map((kernel, channel) => conv2d(pooled[channel]!, kernel));
    const pixels = channels[0]!.length * channels[0]![0]!.length;
    return maps[0]!.map((row, r) => row.map((_, c) => maps.reduce((sum, map) => sum + map[r]![c]!, 0) / pixels));
  });
  const flat = arranged.flatMap((map) => relu(map).flat());
  const sums = weights.output.map((row, k) => weights.bias[k]! + row.reduce((sum, w, i) => sum + w * flat[i]!, 0));
  return { matches, rectified, pooled, arranged, flat, sums, outputs: sums.map(sigmoid) };
}

/** Number of parameters of each part. */
export const parameterCounts = (weights: Weights) => ({
  patterns: weights.patterns.flat(2).length,
  arrangements: weights.arrangements.flat(3).length,
  output: weights.output.flat().length,
  bias: weights.bias.length,
});

/** Shift an image, filled with paper. */
export function moved(image: Matrix, down: number, right: number): Matrix {
  return image.map((row, r) => row.map((_, c) => image[r - down]?.[c - right] ?? -1));
}

/** Pixels that are equal. */
export const agreeing = (one: Matrix, other: Matrix) =>
  one.flat().filter((value, i) => value === other.flat()[i]).length;

/** Mean product of two images: 1 for equal ones. */
export function resemblance(one: Matrix, other: Matrix): number {
  const others = other.flat();
  return one.flat().reduce((sum, value, i) => sum + value * others[i]!, 0) / others.length;
}

/** A sum of numbers as it is written: 1 − 1 + 1. */
export const sumText = (values: number[], text: (value: number) => string) =>
  values.map((value, i) => (i === 0 ? text(value) : value < 0 ? ` − ${text(-value)}` : ` + ${text(value)}`)).join("");
