import type { ComponentChildren, VNode } from "preact";
import { texFormula } from "./tex";
import { n } from "./numbers";

export type Lang = "en" | "ko";
export type Strings = Record<string, string>;
export type Values = Record<string, ComponentChildren>;

export interface T {
  /** A sentence with its markup; numbers among the values are formatted. */
  (key: string, values?: Values): VNode;
  /** The same as plain text, for labels and text alternatives. */
  text: (key: string, values?: Record<string, number | string>) => string;
  /** Whether there is such a sentence. */
  has: (key: string) => boolean;
}

const MARKUP = /\*\*(.+?)\*\*|`([^`]+)`|(?<![\p{L}\d])_([^_]+)_(?![\p{L}\d])|\$([^$]+)\$|\{(\w+)\}/u;
/** Korean that stays on the line of the formula before it. */
const PARTICLE = /^[가-힣]*/;
const PLACEHOLDER = /\{(\w+)\}/g;

/** Return the function that finds sentences by their key. */
export function translator(strings: Strings): T {
  const find = (key: string) => {
    const text = strings[key];
    if (text === undefined) console.error(`no sentence ${key}`);
    return text ?? key;
  };
  const t = ((key: string, values: Values = {}) => <>{marked(find(key), values)}</>) as T;
  t.text = (key, values = {}) => plain(find(key), values);
  t.has = (key) => key in strings;
  return t;
}

function marked(text: string, values: Values): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let rest = text;
  for (let found = MARKUP.exec(rest); found; found = MARKUP.exec(rest)) {
    const [whole, bold, code, emphasis, formula, name] = found;
    const after = rest.slice(found.index + whole.length);
    const particle = formula === undefined ? "" : PARTICLE.exec(after)![0];
    parts.push(kept(rest.slice(0, found.index)));
    if (bold !== undefined) parts.push(<strong>{marked(bold, values)}</strong>);
    else if (code !== undefined) parts.push(<code>{marked(code, values)}</code>);
    else if (emphasis !== undefined) parts.push(<em>{marked(emphasis, values)}</em>);
    else if (formula !== undefined) parts.push(oneLine(texFormula(filled(formula, values)), particle));
    else if (name !== undefined) parts.push(value(name, values));
    rest = after.slice(particle.length);
  }
  return [...parts, kept(rest)];
}

const oneLine = (formula: VNode, particle: string) =>
  particle ? <span class="one-line">{formula}{particle}</span> : formula;

/** Keeps a Korean particle on the line of what stands before it. */
export const JOINER = "\u2060";

/** Keep a particle with the bracket before it. */
const kept = (text: string) => text.replace(/([)\]”’])(?=[가-힣])/g, `$1${JOINER}`);

function value(name: string, values: Values): ComponentChildren {
  const given = values[name];
  if (given === undefined) console.error(`no value for {${name}}`);
  return typeof given === "number" ? n(given) : (given ?? `{${name}}`);
}

/** In a formula, braces also group; only those with a value are placeholders. */
function filled(formula: string, values: Values): string {
  return formula.replace(PLACEHOLDER, (whole, name: string) => {
    const given = values[name];
    if (given === undefined) return whole;
    return `{${typeof given === "number" ? n(given) : String(given)}}`;
  });
}

function plain(text: string, values: Values): string {
  return text
    .replace(PLACEHOLDER, (_, name: string) => String(value(name, values)))
    .replace(/\*\*(.+?)\*\*|`([^`]+)`|\$([^$]+)\$/g, (_, ...found: string[]) => found.slice(0, 3).find(Boolean) ?? "");
}
