/** softmax(z / T) of logits. */
export function softened(logits: number[], temperature: number): number[] {
  const most = Math.max(...logits);
  const powers = logits.map((z) => Math.exp((z - most) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Entropy of probabilities, in bits. */
export const entropy = (p: number[]) => -p.reduce((sum, q) => sum + (q > 0 ? q * Math.log2(q) : 0), 0);

/** Positions of the values, the largest first. */
export const ranked = (values: number[]) => values.map((_, at) => at).sort((a, b) => values[b]! - values[a]!);
