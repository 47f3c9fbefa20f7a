import { useCourse } from "../app/context";
import { n } from "../app/numbers";
import { JOINER } from "../app/translate";

/** A published number with its source as a footnote. */
export function Fact({ name, digits }: { name: string; digits?: number }) {
  const { t, facts } = useCourse();
  const fact = facts[name];
  if (!fact) {
    console.error(`no fact ${name}`);
    return null;
  }
  const note = fact.note ? `${fact.source}. ${fact.note}` : fact.source;
  return (
    <span class="fact" data-id={`fact-${name}`} data-value={fact.value}>
      {n(fact.value, digits)}
      <button type="button" class="source" aria-label={t.text("fact.source", { source: note })} data-note={note}>
        ※
      </button>
      {JOINER}
    </span>
  );
}
