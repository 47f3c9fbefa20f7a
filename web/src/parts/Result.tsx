import { n } from "../app/numbers";

/** A computed number that stands out; browser tests read it by its id. */
export function Result({ id, value, digits, label }: { id?: string; value: number; digits?: number; label?: string }) {
  return (
    <output class="result" data-id={id} data-value={value}>
      {label && <span class="result-label">{label}</span>}
      <span class="result-value">{n(value, digits)}</span>
    </output>
  );
}
