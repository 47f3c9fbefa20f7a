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

/** A number whose slider moves by equal factors: `low` to `high`. */
export function byFactors(low: number, high: number, steps = 100) {
  return {
    min: 0,
    max: steps,
    step: 1,
    position: (value: number) => Math.round((steps * Math.log(value / low)) / Math.log(high / low)),
    value: (position: number) => Number((low * (high / low) ** (position / steps)).toPrecision(3)),
  };
}
