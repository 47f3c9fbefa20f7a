const MINUS = "\u2212";

/**
 * Format a number with grouped thousands and a true minus sign.
 *
 * With `digits`, exactly as many after the decimal point; otherwise as many as the size of the number calls for.
 */
export function n(x: number, digits?: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "–" : x > 0 ? "∞" : `${MINUS}∞`;
  const text = digits === undefined ? formatter(0, fractionDigits(Math.abs(x))).format(x) : formatter(digits, digits).format(x);
  return /^-[0.,]*$/.test(text) ? text.slice(1) : text.replace("-", MINUS);
}

const FORMATTERS = new Map<string, Intl.NumberFormat>(); // making one takes longer than a hundred uses

function formatter(minimumFractionDigits: number, maximumFractionDigits: number): Intl.NumberFormat {
  const key = `${minimumFractionDigits} ${maximumFractionDigits}`;
  let found = FORMATTERS.get(key);
  if (!found) FORMATTERS.set(key, (found = new Intl.NumberFormat("en-US", { minimumFractionDigits, maximumFractionDigits })));
  return found;
}

/** Format a share, 0 to 1, as a percentage. */
export const percent = (share: number, digits = 1) => `${n(100 * share, digits)}%`;

function fractionDigits(size: number): number {
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 0.1 || size === 0) return 3;
  return Math.min(12, 2 - Math.floor(Math.log10(size)));
}
