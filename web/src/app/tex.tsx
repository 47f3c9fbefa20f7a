import type { ComponentChildren, VNode } from "preact";

/**
 * Draw a small part of TeX as MathML: letters, numbers, `_`, `^`, `{}`, `\frac`, `\sqrt`, `\sum`, `\text`, `\hat`,
 * `\bar`, Greek letters and the usual signs.
 */
export function texFormula(source: string, block = false): VNode {
  return (
    <math class={block ? "formula" : undefined} display={block ? "block" : undefined}>
      <mrow>{new Reader(source).row()}</mrow>
    </math>
  );
}

// Preact would leave out an attribute that is false.
const STIFF = { stretchy: "false" } as object;

const SIGNS: Record<string, string> = {
  times: "×", cdot: "·", le: "≤", ge: "≥", ne: "≠", approx: "≈", to: "→", leftarrow: "←", partial: "∂", nabla: "∇", infty: "∞",
  pm: "±", lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉", dots: "…", odot: "⊙", oplus: "⊕", in: "∈", mid: "|",
};
const LETTERS: Record<string, string> = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", eta: "η", theta: "θ", lambda: "λ", mu: "μ", nu: "ν",
  pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", psi: "ψ", omega: "ω", Delta: "Δ", Sigma: "Σ", ell: "ℓ",
};
const BIG: Record<string, string> = { sum: "∑", prod: "∏" };
const WORDS = ["log", "exp", "max", "min", "ln", "sigmoid", "softmax", "relu"];
const ACCENTS: Record<string, string> = { hat: "^", bar: "¯", tilde: "~" };
const TOKEN = /\s*(?:\\([A-Za-z]+|.)|([\d\u2212]*\d[\d.,]*\d|\d)|(\p{L})|(.))/uy;

class Reader {
  private at = 0;
  constructor(private readonly source: string) {}

  row(end?: string): ComponentChildren[] {
    const items: ComponentChildren[] = [];
    for (;;) {
      if (this.rest() === "") return items;
      if (end !== undefined && this.take(end)) return items;
      items.push(this.item());
    }
  }

  private item(): ComponentChildren {
    let base = this.atom();
    const big = this.lastBig;
    let low: ComponentChildren;
    let high: ComponentChildren;
    for (;;) {
      if (this.take("_")) low = this.atom();
      else if (this.take("^")) high = this.atom();
      else break;
    }
    if (low !== undefined && high !== undefined)
      base = big ? <munderover>{base}{low}{high}</munderover> : <msubsup>{base}{low}{high}</msubsup>;
    else if (low !== undefined) base = big ? <munder>{base}{low}</munder> : <msub>{base}{low}</msub>;
    else if (high !== undefined) base = <msup>{base}{high}</msup>;
    return base;
  }

  private lastBig = false;

  private atom(): ComponentChildren {
    this.lastBig = false;
    if (this.take("{")) return <mrow>{this.row("}")}</mrow>;
    TOKEN.lastIndex = this.at;
    const found = TOKEN.exec(this.source);
    if (!found) return null;
    this.at = TOKEN.lastIndex;
    const [, command, number, letter, sign] = found;
    if (command !== undefined) return this.command(command);
    if (number !== undefined) return <mn>{number}</mn>;
    if (letter !== undefined) return <mi>{letter}</mi>;
    return <mo {...STIFF}>{sign === "-" ? "\u2212" : sign === "*" ? "∗" : sign}</mo>;
  }

  private command(name: string): ComponentChildren {
    if (name === "frac") return <mfrac>{this.atom()}{this.atom()}</mfrac>;
    if (name === "sqrt") return <msqrt>{this.atom()}</msqrt>;
    if (name === "text") return <mtext>{this.raw()}</mtext>;
    if (name in ACCENTS) return <mover accent>{this.atom()}<mo {...STIFF}>{ACCENTS[name]}</mo></mover>;
    if (name in LETTERS) return <mi>{LETTERS[name]}</mi>;
    if (name in SIGNS) return <mo {...STIFF}>{SIGNS[name]}</mo>;
    if (WORDS.includes(name)) return <mi mathvariant="normal">{name}</mi>;
    if (name in BIG) {
      this.lastBig = true;
      return <mo>{BIG[name]}</mo>;
    }
    if (name === "," || name === ";" || name === " ") return <mspace width="0.25em" />;
    if (name === "quad") return <mspace width="1em" />;
    if (name === "left" || name === "right") return null;
    return <mo {...STIFF}>{name}</mo>;
  }

  private raw(): string {
    if (!this.take("{")) return "";
    const end = this.source.indexOf("}", this.at);
    const text = this.source.slice(this.at, end);
    this.at = end + 1;
    return text.replace(/ /g, "\u00a0");
  }

  private rest(): string {
    while (this.source[this.at] === " ") this.at++;
    return this.source.slice(this.at);
  }

  private take(sign: string): boolean {
    if (!this.rest().startsWith(sign)) return false;
    this.at += sign.length;
    return true;
  }
}
