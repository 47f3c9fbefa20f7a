import { describe, expect, it } from "vitest";
import {
  averagePool,
  conv1d,
  conv2d,
  crossEntropy,
  matchMap,
  matchScore,
  maxPool,
  outputSize,
  receptiveField,
  relu,
  sigmoid,
  softmax,
  squaredError,
} from "./index";

const image = [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
  [9, 10, 11, 12],
  [13, 14, 15, 16],
];

describe("convolution", () => {
  it("does not flip the kernel", () => {
    expect(conv1d([0, 1, 2, 3, 4], [-1, 0, 1])).toEqual([2, 2, 2]);
    expect(conv2d(image, [[1, 0], [0, 0]])).toEqual([[1, 2, 3], [5, 6, 7], [9, 10, 11]]);
  });
  it("has stride, padding and dilation", () => {
    expect(conv2d(image, [[1]], { stride: 2 })).toEqual([[1, 3], [9, 11]]);
    expect(conv2d(image, [[0, 0, 0], [0, 1, 0], [0, 0, 0]], { padding: 1 })).toEqual(image);
    expect(conv2d(image, [[1, 1], [1, 1]], { dilation: 3 })).toEqual([[1 + 4 + 13 + 16]]);
    expect(conv1d([1, 2, 3], [1, 1], { padding: 1, stride: 2 })).toEqual([1, 5]);
  });
  it("gives nothing where the kernel does not fit", () => {
    expect(conv2d([[1]], [[1, 1], [1, 1]]).flat()).toEqual([]);
  });
});

describe("pooling", () => {
  it("takes the largest, or the mean", () => {
    expect(maxPool(image)).toEqual([[6, 8], [14, 16]]);
    expect(averagePool(image)).toEqual([[3.5, 5.5], [11.5, 13.5]]);
    expect(maxPool(image, { size: 3, stride: 1 })).toEqual([[11, 12], [15, 16]]);
  });
  it("drops or keeps windows over the border", () => {
    const odd = [[1, 2, 9]];
    expect(maxPool([[1, 2, 9], [3, 4, 8]])).toEqual([[4]]);
    expect(maxPool(odd, { partial: true })).toEqual([[2, 9]]);
    expect(averagePool([[2, 4, 9]], { partial: true })).toEqual([[3, 9]]);
  });
});

describe("sizes", () => {
  it.each([
    [[224, 7, 2, 3, 1], 112],
    [[28, 5, 1, 0, 1], 24],
    [[7, 3, 1, 2, 2], 7],
    [[2, 3, 1, 0, 1], 0],
  ])("output of %j is %i", (given, size) => {
    expect(outputSize(...(given as [number, number, number, number, number]))).toBe(size);
  });
  it("the receptive field grows by the jump", () => {
    expect(receptiveField([{ kernel: 3 }, { kernel: 3 }, { kernel: 3 }])).toEqual([3, 5, 7]);
    expect(receptiveField([{ kernel: 3 }, { kernel: 2, stride: 2 }, { kernel: 3 }])).toEqual([3, 4, 8]);
    expect(receptiveField([{ kernel: 3, dilation: 2 }])).toEqual([5]);
  });
});

describe("activations and losses", () => {
  it("are those of the formulas", () => {
    expect(relu([[-1, 0, 2]])).toEqual([[0, 0, 2]]);
    expect(sigmoid(0)).toBe(0.5);
    expect(sigmoid(2) + sigmoid(-2)).toBeCloseTo(1, 12);
    expect(softmax([1000, 1000])).toEqual([0.5, 0.5]);
    expect(crossEntropy(0.5, 1)).toBeCloseTo(Math.LN2, 12);
    expect(crossEntropy(0.25, 0)).toBeCloseTo(-Math.log(0.75), 12);
    expect(squaredError(0.25, 1)).toBeCloseTo(0.5625, 12);
  });
});

describe("matching", () => {
  it("is the mean product", () => {
    const pattern = [[1, -1], [-1, 1]];
    expect(matchScore(pattern, pattern)).toBe(1);
    expect(matchMap([[1, -1, 1], [-1, 1, -1]], pattern)).toEqual([[1, -1]]);
  });
});
