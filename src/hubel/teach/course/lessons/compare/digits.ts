import type { Matrix } from "@math";

export interface Pictures {
  pictures: string[];
  labels: string;
}

/** Place a picture on a black canvas, moved from the centre. */
export function onCanvas(picture: Matrix, canvas: number, down = 0, right = 0): Matrix {
  const margin = (canvas - picture.length) / 2;
  return Array.from({ length: canvas }, (_, row) =>
    Array.from({ length: canvas }, (_, column) => picture[row - margin - down]?.[column - margin - right] ?? 0),
  );
}

/** Cut out the inner three quarters of a canvas and enlarge them to the whole size, bilinearly. */
export function crop(canvas: Matrix): Matrix {
  const side = canvas.length;
  const inner = Math.floor((side * 3) / 4);
  const start = Math.floor((side - inner) / 2);
  const places = Array.from({ length: side }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * inner) / side - 0.5, 0), inner - 1);
    const low = Math.min(Math.floor(at), inner - 2);
    return [low, at - low] as const;
  });
  const value = (row: number, column: number) => canvas[start + row]![start + column]!;
  return places.map(([row, down]) =>
    places.map(
      ([column, right]) =>
        (1 - down) * ((1 - right) * value(row, column) + right * value(row, column + 1)) +
        down * ((1 - right) * value(row + 1, column) + right * value(row + 1, column + 1)),
    ),
  );
}

/** Squared differences of pixels, or their absolute values. */
export function differences(a: Matrix, b: Matrix, measure: Measure): Matrix {
  return a.map((row, r) => row.map((value, c) => (measure === "L2" ? (value - b[r]![c]!) ** 2 : Math.abs(value - b[r]![c]!))));
}

export type Measure = "L1" | "L2";

export function total(values: Matrix): number {
  return values.reduce((sum, row) => sum + row.reduce((part, value) => part + value, 0), 0);
}

export interface Neighbour {
  index: number;
  label: number;
  distance: number;
}

/** Sort stored pictures by their Euclidean distance; of equally near ones, the first stays first. */
export function neighbours(query: Matrix, stored: Matrix[], labels: string): Neighbour[] {
  return stored
    .map((picture, index) => ({ index, label: Number(labels[index]), distance: Math.sqrt(total(differences(query, picture, "L2"))) }))
    .sort((a, b) => a.distance - b.distance || a.index - b.index);
}

/** Votes of the nearest for each class. */
export function votes(nearest: Neighbour[], classes: number): number[] {
  return Array.from({ length: classes }, (_, digit) => nearest.filter(({ label }) => label === digit).length);
}

/** The position of the largest value; of equal ones, the first. */
export function largest(values: number[]): number {
  return values.indexOf(Math.max(...values));
}

const PLUS = [0.247, 0.525, 0.91];
const MINUS = [0.941, 0.541, 0.141];

/** Draw weights as colours: blue where positive, orange where negative, white at zero. */
export function signed(weights: Matrix): number[][][] {
  const full = Math.max(1e-12, ...weights.flat().map(Math.abs));
  return weights.map((row) =>
    row.map((value) => {
      const share = Math.abs(value) / full;
      return (value >= 0 ? PLUS : MINUS).map((channel) => 1 - share * (1 - channel));
    }),
  );
}

/** Grey levels as shares of white. */
export function grey(levels: Matrix, white: number): Matrix {
  return levels.map((row) => row.map((value) => value / white));
}
