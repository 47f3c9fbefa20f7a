import type { ComponentChildren } from "preact";
import { n } from "../app/numbers";

interface Props {
  head: ComponentChildren[];
  /** Numbers are formatted; a column that has one is set to the right. */
  rows: ComponentChildren[][];
  /** Further columns that are set to the right. */
  right?: number[];
  label: string;
  id?: string;
  /** Index of a row that stands out. */
  strong?: number;
}

/** A table; the first column names its rows. */
export function DataTable({ head, rows, right = [], label, id, strong }: Props) {
  const classes = head.map((_, c) => (right.includes(c) || rows.some((row) => typeof row[c] === "number") ? "number" : undefined));
  return (
    <div class="table" tabIndex={0} role="region" aria-label={label} data-id={id}>
      <table>
        <thead>
          <tr>
            {head.map((cell, index) => (
              <th key={index} scope="col" class={classes[index]}>
                {cell}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r} class={r === strong ? "strong" : undefined}>
              {row.map((cell, c) => {
                const numeric = typeof cell === "number";
                const Tag = c === 0 ? "th" : "td";
                return (
                  <Tag key={c} scope={c === 0 ? "row" : undefined} class={classes[c]} data-value={numeric ? cell : undefined}>
                    {numeric ? n(cell) : cell}
                  </Tag>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
