import { describe, expect, it } from "vitest";
import { conv2d } from "./convolution";
import { enlargeBilinear, transposedConv2d, transposedSize, upsampleNearest } from "./upsampling";

const ones = (rows: number, columns = rows) => Array.from({ length: rows }, () => new Array<number>(columns).fill(1));

describe("transposed convolution", () => {
  it("adds stamps that overlap", () => {
    expect(transposedConv2d([[1, 2]], [[1, 10, 100]], { stride: 2 })).toEqual([[1, 10, 102, 20, 200]]);
  });
  it("is the transpose of a convolution: <conv(x), y> = <x, transposed(y)>", () => {
    const x = [[1, -2, 3, 0, 5], [2, 2, 1, -1, 0], [0, 4, -3, 1, 2], [1, 1, 0, 2, -2], [3, -1, 2, 0, 1]];
    const kernel = [[1, 2, -1], [0, 3, 1], [-2, 1, 1]];
    for (const [stride, padding] of [[1, 0], [2, 0], [2, 1], [1, 1]] as const) {
      const forward = conv2d(x, kernel, { stride, padding });
      const y = forward.map((line, r) => line.map((_, c) => r + 2 * c - 1));
      const outputPadding = 5 - transposedSize(forward.length, 3, stride, padding);
      const back = transposedConv2d(y, kernel, { stride, padding, outputPadding });
      const dot = (a: number[][], b: number[][]) => a.flat().reduce((sum, value, i) => sum + value * b.flat()[i]!, 0);
      expect(dot(forward, y)).toBeCloseTo(dot(x, back));
    }
  });
  it("covers evenly where the kernel is a multiple of the stride, inside", () => {
    const inner = (kernel: number) => transposedConv2d(ones(8), ones(kernel), { stride: 2 }).slice(4, 12).flatMap((line) => line.slice(4, 12));
    expect(new Set(inner(4)).size).toBe(1);
    expect(new Set(inner(3)).size).toBe(3);
  });
});

describe("enlarging", () => {
  it("repeats pixels", () => {
    expect(upsampleNearest([[1, 2]])).toEqual([[1, 1, 2, 2], [1, 1, 2, 2]]);
  });
  it("interpolates between centres", () => {
    expect(enlargeBilinear([[0, 4]], 1, 4)).toEqual([[0, 1, 3, 4]]);
    expect(enlargeBilinear(ones(3), 7, 5)).toEqual(ones(7, 5));
  });
});
