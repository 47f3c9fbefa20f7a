import { conv2d, type Matrix } from "./convolution";

/** Sum of the products of pixels and pattern, divided by the number of pixels: 1 where they agree, for pixels of ±1. */
export function matchScore(window: Matrix, pattern: Matrix): number {
  const products = window.flatMap((row, r) => row.map((value, c) => value * pattern[r]![c]!));
  return products.reduce((sum, product) => sum + product, 0) / products.length;
}

/** The match score at every position of the pattern: an activation map. */
export function matchMap(image: Matrix, pattern: Matrix): Matrix {
  const pixels = pattern.length * (pattern[0]?.length ?? 0);
  return conv2d(image, pattern).map((row) => row.map((sum) => sum / pixels));
}

/** The part of an image under a window. */
export function under(image: Matrix, row: number, column: number, height: number, width: number): Matrix {
  return image.slice(row, row + height).map((line) => line.slice(column, column + width));
}
