import { conv2d, maxPool, relu, sigmoid, transposedConv2d, upsampleNearest } from "@math";

export type Maps = number[][][];

/** Weights of a layer: of convolutions (out, in, rows, columns), of transposed ones (in, out, rows, columns). */
export interface LayerWeights {
  weight: number[][][][];
  bias: number[];
}

export type Decoder = "upsample" | "transpose";

/** Run the autoencoder on an image; return the code and the reconstruction, from 0 to 1. */
export function reconstruct(image: number[][], weights: LayerWeights[], decoder: Decoder) {
  let maps: Maps = [image];
  for (const layer of weights.slice(0, 3)) {
    maps = convolve(maps, layer, 1).map(relu);
    maps = maps.map((map) => maxPool(map, { partial: true }));
  }
  const code = maps;
  const rest = weights.slice(3);
  rest.forEach((layer, index) => {
    const last = index === rest.length - 1;
    if (decoder === "upsample") {
      maps = convolve(maps, layer, index === 2 ? 0 : 1);
      if (!last) maps = maps.map((map) => upsampleNearest(relu(map)));
    } else {
      maps = transposed(maps, layer, index === 0 ? 0 : 1);
      if (!last) maps = maps.map(relu);
    }
  });
  return { code, output: maps[0]!.map((line) => line.map(sigmoid)) };
}

/** Mean squared difference of two images. */
export function meanSquaredError(a: number[][], b: number[][]): number {
  const differences = a.flatMap((line, r) => line.map((value, c) => (value - b[r]![c]!) ** 2));
  return differences.reduce((sum, value) => sum + value, 0) / differences.length;
}

function convolve(maps: Maps, { weight, bias }: LayerWeights, padding: number): Maps {
  return weight.map((kernels, out) => added(kernels.map((kernel, k) => conv2d(maps[k]!, kernel, { padding })), bias[out]!));
}

function transposed(maps: Maps, { weight, bias }: LayerWeights, outputPadding: number): Maps {
  const options = { stride: 2, padding: 1, outputPadding };
  return bias.map((value, out) => added(maps.map((map, k) => transposedConv2d(map, weight[k]![out]!, options)), value));
}

function added(parts: Maps, bias: number): number[][] {
  const [first, ...others] = parts;
  return first!.map((line, r) => line.map((value, c) => others.reduce((sum, part) => sum + part[r]![c]!, value + bias)));
}
