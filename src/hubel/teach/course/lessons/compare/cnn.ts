import { conv2d, maxPool, relu, type Matrix } from "@math";

/** What the server sends of the trained network: batch norm is folded into the convolutions. */
export interface Weights {
  std: number;
  convolutions: { weights: number[][][][]; bias: number[] }[];
  linear: { weights: number[][]; bias: number[] };
}

/** The scores of a picture with grey values from 0 to 1. */
export function scores(network: Weights, picture: Matrix): number[] {
  let maps: Matrix[] = [picture.map((row) => row.map((value) => value / network.std))];
  for (const { weights, bias } of network.convolutions)
    maps = weights.map((kernels, filter) => {
      const parts = kernels.map((kernel, channel) => conv2d(maps[channel]!, kernel, { padding: (kernel.length - 1) / 2 }));
      const sums = parts[0]!.map((row, r) => row.map((_, c) => parts.reduce((sum, part) => sum + part[r]![c]!, bias[filter]!)));
      return maxPool(relu(sums));
    });
  const means = maps.map((map) => map.flat().reduce((sum, value) => sum + value, 0) / map.flat().length);
  return network.linear.weights.map((row, digit) => row.reduce((sum, weight, i) => sum + weight * means[i]!, network.linear.bias[digit]!));
}
