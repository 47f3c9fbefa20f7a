import { useCourse } from "@parts";
import { useMemo } from "preact/hooks";
import type { Samples } from "@math";

/** Losses within this share of their first excess count as arrived. */
export const ARRIVED = 0.01;

/** Inputs and targets of the neuron with two weights, whose pictures may be mixed with white. */
export function useSamples(white = 0): Samples {
  const { data } = useCourse();
  return useMemo(
    () => ({
      x: (data.x as [number, number][]).map(([x1, x2]) => [white + (1 - white) * x1, white + (1 - white) * x2] as [number, number]),
      targets: data.targets as number[],
    }),
    [data, white],
  );
}

const MANTISSAS = [1, 1.25, 1.6, 2, 2.5, 3, 4, 5, 6.5, 8];

/** The scale of a slider that moves by nearly equal factors over round numbers, from `low` to `high`. */
export function byFactors(low: number, high: number) {
  const values: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const mantissa of MANTISSAS) {
      const value = Number((mantissa * 10 ** power).toPrecision(4));
      if (value >= low && value <= high) values.push(value);
    }
  return values;
}
