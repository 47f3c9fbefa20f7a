import type { Matrix } from "./convolution";

/** Read a square picture of one character a pixel, row by row: 0 to 9, then A for 10 to G for 16. */
export function unpack(text: string, side: number): Matrix {
  return Array.from({ length: side }, (_, row) =>
    Array.from({ length: side }, (_, column) => parseInt(text[row * side + column]!, 17)),
  );
}
