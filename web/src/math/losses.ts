/** Binary cross-entropy of one output: -log of the probability that it gives to the target, 0 or 1. */
export function crossEntropy(probability: number, target: number): number {
  return target === 1 ? -Math.log(probability) : -Math.log(1 - probability);
}

/** Squared difference of one output and its target. */
export function squaredError(output: number, target: number): number {
  return (output - target) ** 2;
}
