const MINUS = "\u2212";

/**
 * Format a number with grouped thousands and a true minus sign.
 *
 * With `digits`, exactly as many after the decimal point; otherwise as many as the size of the number calls for.
 */
export function n(x: number, digits?: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "–" : x > 0 ? "∞" : `${MINUS}∞`;
  const text = new Intl.NumberFormat(
    "en-US",
    digits === undefined
      ? { maximumFractionDigits: fractionDigits(Math.abs(x)) }
      : { minimumFractionDigits: digits, maximumFractionDigits: digits },
  ).format(x);
  return /^-[0.,]*$/.test(text) ? text.slice(1) : text.replace("-", MINUS);
}

/** Format a share, 0 to 1, as a percentage. */
export const percent = (share: number, digits = 1) => `${n(100 * share, digits)}%`;

function fractionDigits(size: number): number {
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 0.1 || size === 0) return 3;
  return Math.min(12, 2 - Math.floor(Math.log10(size)));
}
