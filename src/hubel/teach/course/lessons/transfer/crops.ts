type Pixels = number[][][];

export interface Crop {
  top: number;
  left: number;
  mirrored: boolean;
}

/** The four corners and the centre of an image, and the mirror image of each. */
export function tenCrops(height: number, width: number, side: number): Crop[] {
  const [down, right] = [height - side, width - side];
  const places = [[0, 0], [0, right], [down, 0], [down, right], [Math.round(down / 2), Math.round(right / 2)]] as const;
  return [false, true].flatMap((mirrored) => places.map(([top, left]) => ({ top, left, mirrored })));
}

/** The pixels of a crop. */
export function cut(pixels: Pixels, { top, left, mirrored }: Crop, side: number): Pixels {
  const rows = pixels.slice(top, top + side).map((row) => row.slice(left, left + side));
  return mirrored ? rows.map((row) => row.slice().reverse()) : rows;
}

/** Share of the image's pixels that lie in one of the crops. */
export function covered(height: number, width: number, side: number): number {
  const crops = tenCrops(height, width, side);
  let count = 0;
  for (let r = 0; r < height; r++)
    for (let c = 0; c < width; c++)
      if (crops.some(({ top, left }) => r >= top && r < top + side && c >= left && c < left + side)) count++;
  return count / (height * width);
}

/** Two images blended: the first has this share. */
export function mixup(a: Pixels, b: Pixels, share: number): Pixels {
  return a.map((row, r) => row.map((pixel, c) => pixel.map((value, k) => share * value + (1 - share) * b[r]![c]![k]!)));
}

/** A rectangle of the second image pasted on the first, which keeps this share of its area. */
export function cutmix(a: Pixels, b: Pixels, share: number): Pixels {
  const [height, width] = [a.length, a[0]!.length];
  const side = Math.sqrt(1 - share);
  const inside = (at: number, length: number) => Math.abs(at + 0.5 - length / 2) < (side * length) / 2;
  return a.map((row, r) => row.map((pixel, c) => (inside(r, height) && inside(c, width) ? b[r]![c]! : pixel)));
}

/** Probability that more than half of n independent classifiers are right, each with probability p; n is odd. */
export function majority(n: number, p: number): number {
  let sum = 0;
  let ways = 1; // n over k
  for (let k = n; k > n / 2; k--) {
    sum += ways * p ** k * (1 - p) ** (n - k);
    ways = (ways * k) / (n - k + 1);
  }
  return sum;
}

/** Variance of the mean of n values of variance 1 that are correlated by rho. */
export function varianceOfMean(n: number, rho: number): number {
  return rho + (1 - rho) / n;
}
