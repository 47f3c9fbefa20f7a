import type { Matrix } from "@math";

/** Rows of [red, green, blue], from 0 to 255. */
export type Pixels = number[][][];
export type Display = "cut" | "absolute" | "grey";

const SHOWN: Record<Display, (value: number) => number> = {
  cut: (value) => value,
  absolute: Math.abs,
  grey: (value) => value / 2 + 127.5,
};

/** The three colours as matrices whose outermost pixels are repeated once on every side. */
export function paddedColours(pixels: Pixels): Matrix[] {
  const within = (index: number, length: number) => Math.min(Math.max(index, 0), length - 1);
  const [height, width] = [pixels.length, pixels[0]!.length];
  return [0, 1, 2].map((colour) =>
    Array.from({ length: height + 2 }, (_, r) => {
      const row = pixels[within(r - 1, height)]!;
      return Array.from({ length: width + 2 }, (_, c) => row[within(c - 1, width)]![colour]!);
    }),
  );
}

type Three = [number, number, number];

export interface Filtered {
  /** From 0 to 1. */
  pixels: Pixels;
  /** Shares of values below 0, and above 255 after negative ones were displayed. */
  below: number;
  above: number;
}

/**
 * Convolve each colour with a kernel of three rows and columns, and display the values as a picture.
 *
 * Written out for this one size: the picture follows the reader's keys, in a few milliseconds.
 */
export function filterColours(colours: Matrix[], kernel: Matrix, display: Display): Filtered {
  const [[k0, k1, k2], [k3, k4, k5], [k6, k7, k8]] = kernel as [Three, Three, Three];
  const show = SHOWN[display];
  const [height, width] = [colours[0]!.length - 2, colours[0]![0]!.length - 2];
  let [below, above] = [0, 0];
  const pixels: Pixels = Array.from({ length: height }, () => Array.from({ length: width }, () => [0, 0, 0]));
  colours.forEach((colour, index) => {
    for (let r = 0; r < height; r++) {
      const [up, on, down, row] = [colour[r]!, colour[r + 1]!, colour[r + 2]!, pixels[r]!];
      for (let c = 0; c < width; c++) {
        const value =
          k0 * up[c]! + k1 * up[c + 1]! + k2 * up[c + 2]! +
          k3 * on[c]! + k4 * on[c + 1]! + k5 * on[c + 2]! +
          k6 * down[c]! + k7 * down[c + 1]! + k8 * down[c + 2]!;
        const shown = Math.round(show(value));
        if (value < -0.5) below++;
        if (shown > 255) above++;
        row[c]![index] = shown < 0 ? 0 : shown > 255 ? 1 : shown / 255;
      }
    }
  });
  const count = colours.length * height * width;
  return { pixels, below: below / count, above: above / count };
}

export const sum = (kernel: Matrix): number => kernel.flat().reduce((total, value) => total + value, 0);
