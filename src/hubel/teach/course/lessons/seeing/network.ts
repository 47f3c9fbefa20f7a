import { averagePool, conv2d, enlargeBilinear, maxPool, relu, sigmoid, transposedConv2d } from "@math";

type Matrix = number[][];

/** The network of the lesson "X or O" as data() has trained it. */
export interface Weights {
  patterns: Matrix[][];
  arrangements: Matrix[][];
  output: Matrix;
  bias: number[];
}

const AREA = 9; // pixels under a pattern; a match is the mean product

const scaled = (map: Matrix, by: number) => map.map((row) => row.map((value) => value * by));
const plus = (a: Matrix, b: Matrix) => a.map((row, r) => row.map((value, c) => value + b[r]![c]!));

/** All maps of the network for one drawing of ±1. */
export function run(image: Matrix, weights: Weights) {
  const matches = weights.patterns.map(([pattern]) => scaled(conv2d(image, pattern!), 1 / AREA));
  const pooled = matches.map((map) => maxPool(relu(map), { partial: true }));
  const arranged = weights.arrangements.map((kernels) => scaled(kernels.map((kernel, c) => conv2d(pooled[c]!, kernel)).reduce(plus), 1 / AREA));
  const flat = arranged.flatMap((map) => relu(map).flat());
  const logits = weights.output.map((row, k) => row.reduce((sum, weight, i) => sum + weight * flat[i]!, weights.bias[k]!));
  return { matches, pooled, arranged, logits, scores: logits.map(sigmoid) };
}

/** Grad-CAM of a class at the pooled maps: each map's weight, the mean of its gradient, and the map 4 x 4. */
export function gradCam(image: Matrix, weights: Weights, target: number) {
  const { pooled, arranged } = run(image, weights);
  const places = arranged[0]!.flat().length;
  const inArranged = arranged.map((map, k) =>
    map.map((row, r) => row.map((value, c) => (value > 0 ? weights.output[target]![k * places + r * row.length + c]! : 0))),
  );
  const gradients = pooled.map((_, c) =>
    scaled(inArranged.map((gradient, k) => transposedConv2d(gradient, weights.arrangements[k]![c]!)).reduce(plus), 1 / AREA),
  );
  const alphas = gradients.map((gradient) => averagePool(gradient, { size: gradient.length })[0]![0]!);
  return { alphas, map: relu(pooled.map((map, c) => scaled(map, alphas[c]!)).reduce(plus)) };
}

/** Drop of a class's logit when a grey square (0) covers each place; the square moves pixel by pixel. */
export function occlusion(image: Matrix, weights: Weights, target: number, side: number): Matrix {
  const whole = run(image, weights).logits[target]!;
  const positions = image.length - side + 1;
  return Array.from({ length: positions }, (_, top) =>
    Array.from({ length: positions }, (_, left) => {
      const inside = (r: number, c: number) => r >= top && r < top + side && c >= left && c < left + side;
      const covered = image.map((row, r) => row.map((value, c) => (inside(r, c) ? 0 : value)));
      return whole - run(covered, weights).logits[target]!;
    }),
  );
}

/** A map over its picture: the picture in grey under orange, as strong as the map, 1 at its largest value. */
export function heat(grey: Matrix, map: Matrix): number[][][] {
  const large = enlargeBilinear(map, grey.length, grey[0]!.length);
  const most = Math.max(1e-12, ...large.flat());
  return grey.map((row, r) =>
    row.map((value, c) => {
      const share = Math.max(0, large[r]![c]!) / most;
      const under = 0.15 + 0.7 * value;
      return [under + share * (1 - under), under * (1 - share) + share * 0.55, under * (1 - share)];
    }),
  );
}
