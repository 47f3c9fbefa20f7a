import { describe, expect, it } from "vitest";
import { bowl, bowlGradient, bowlLoss, centred, descend, squaredLoss, squaredLossGradient, stepsUntil, type Samples, type Weights } from "./descent";

const samples: Samples = {
  x: [[0.9, 0.2], [0.4, 0.6], [0.7, 0.7], [0.1, 0.5]],
  targets: [1, -1, 1, -1],
};
const w: Weights = [0.3, -0.8];

describe("the loss of two weights", () => {
  it("is quadratic, with its minimum where the gradient is zero", () => {
    const shape = bowl(samples, 0.1);
    const { minimum } = shape;
    expect(bowlLoss(shape, w)).toBeCloseTo(squaredLoss(samples, w, 0.1), 12);
    squaredLossGradient(samples, w, 0.1).forEach((part, i) => expect(bowlGradient(shape, w)[i]).toBeCloseTo(part, 12));
    for (const part of squaredLossGradient(samples, minimum, 0.1)) expect(part).toBeCloseTo(0, 12);
  });
  it("has the gradient of finite differences", () => {
    const step = 1e-6;
    const slope = (i: number) => {
      const at = (by: number) => squaredLoss(samples, w.map((value, j) => value + (i === j ? by : 0)) as Weights, 0.2);
      return (at(step) - at(-step)) / (2 * step);
    };
    squaredLossGradient(samples, w, 0.2).forEach((part, i) => expect(part).toBeCloseTo(slope(i), 8));
  });
  it("has eigenvalues with the trace, the determinant and the direction of the curvature", () => {
    const { curvature: [a, b, d], eigenvalues: [high, low], steepest: [x, y] } = bowl(samples);
    expect(high + low).toBeCloseTo(a + d, 12);
    expect(high * low).toBeCloseTo(a * d - b * b, 12);
    expect(a * x + b * y).toBeCloseTo(high * x, 12);
    expect(b * x + d * y).toBeCloseTo(high * y, 12);
  });
  it("loses the means", () => {
    const { x } = centred(samples);
    for (const i of [0, 1]) expect(x.reduce((sum, row) => sum + row[i]!, 0)).toBeCloseTo(0, 12);
  });
});

describe("gradient descent", () => {
  it("converges just below two over the largest eigenvalue, and diverges just above", () => {
    const shape = bowl(samples);
    const end = (rate: number) => squaredLoss(samples, descend(samples, w, { optimizer: "sgd", rate, steps: 4000 }).at(-1)!);
    expect(end(1.99 / shape.eigenvalues[0])).toBeCloseTo(shape.lowest, 4);
    expect(end(2.01 / shape.eigenvalues[0])).toBeGreaterThan(squaredLoss(samples, w));
  });
  it("takes each sample once an epoch, in the given order", () => {
    const rate = 0.1;
    const path = descend(samples, w, { optimizer: "sgd", rate, steps: 2, batch: 2, order: [2, 0, 3, 1] });
    const gradient = squaredLossGradient(samples, path[1]!, 0, [3, 1]);
    expect(path[2]![0]).toBeCloseTo(path[1]![0] - rate * gradient[0], 12);
  });
  it("starts Adam with a step of the learning rate, whatever the gradient's size", () => {
    const [, next] = descend(samples, w, { optimizer: "adam", rate: 0.1, steps: 1 });
    next!.forEach((value, i) => expect(Math.abs(value - w[i]!)).toBeCloseTo(0.1, 6));
  });
});

describe("stepsUntil", () => {
  it("counts until the loss stays low", () => {
    expect(stepsUntil([10, 5, 0.05, 3, 0.05, 0.02], 0)).toBe(4);
    expect(stepsUntil([10, 5, 1], 0)).toBe(-1);
    expect(stepsUntil([0, 0], 0)).toBe(0);
  });
});
