import { n } from "../app/numbers";

interface Props {
  bars: { label: string; value: number; note?: string }[];
  label: string;
  digits?: number;
  /** Value of the full width; the largest one if not given. */
  full?: number;
  format?: (value: number) => string;
  id?: string;
}

/** Horizontal bars with their numbers. */
export function Bars({ bars, label, digits, full, format, id }: Props) {
  const most = full ?? Math.max(1e-12, ...bars.map((bar) => Math.abs(bar.value)));
  return (
    <table class="bars" aria-label={label} data-id={id}>
      <tbody>
        {bars.map((bar) => (
          <tr key={bar.label} data-value={bar.value}>
            <th scope="row">{bar.label}</th>
            <td class="track" aria-hidden="true">
              <i class={bar.value < 0 ? "less" : undefined} style={{ width: `${(100 * Math.min(most, Math.abs(bar.value))) / most}%` }} />
            </td>
            <td class="number">
              {format ? format(bar.value) : n(bar.value, digits)}
              {bar.note && <small> {bar.note}</small>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
