import type { ComponentChildren, VNode } from "preact";
import { texFormula } from "../app/tex";

/** A formula on a line of its own, which scrolls by keyboard too: TeX (see app/tex.tsx) by `tex`, or MathML as children. */
export function Formula({ tex, children, id }: { tex?: string; children?: ComponentChildren; id?: string }) {
  return (
    <div class="formula-block" tabIndex={0} data-id={id}>
      {tex !== undefined ? (
        texFormula(tex, true)
      ) : (
        <math display="block" class="formula">
          <mrow>{typeof children === "string" ? <mtext>{children}</mtext> : children}</mrow>
        </math>
      )}
    </div>
  );
}

type Item = ComponentChildren;

const item = (value: Item): VNode | Item =>
  typeof value === "number" ? <mn>{value}</mn> : typeof value === "string" ? /^[\d.,]+$/.test(value) ? <mn>{value}</mn> : <mi>{value}</mi> : value;
const row = (value: Item) => <mrow>{item(value)}</mrow>;

export const frac = (above: Item, below: Item) => <mfrac>{row(above)}{row(below)}</mfrac>;
export const sum = (body: Item, from?: Item, to?: Item) => (
  <mrow>
    <munderover>
      <mo>∑</mo>
      {row(from ?? "")}
      {row(to ?? "")}
    </munderover>
    {item(body)}
  </mrow>
);
export const sub = (base: Item, below: Item) => <msub>{row(base)}{row(below)}</msub>;
export const sup = (base: Item, above: Item) => <msup>{row(base)}{row(above)}</msup>;
