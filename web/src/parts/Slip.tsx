import { useCourse } from "../app/context";

/** A box on a common mistake; its sentences and values are those of the lesson `slips`. */
export function Slip({ k }: { k: string }) {
  const { t, slips } = useCourse();
  if (!t.has(`slip.${k}.claim`)) return null;
  const values = slips[k] ?? {};
  const own = `slip.${k}.title`;
  const label = t.has(own) ? `${t.text("slip.title")}: ${t.text(own)}` : t.text("slip.title");
  return (
    <aside class="slip" data-id={`slip-${k}`} aria-label={label}>
      <span class="kicker">{t("slip.title")}</span>
      <p class="claim">{t(`slip.${k}.claim`, values)}</p>
      <p>{t(`slip.${k}.right`, values)}</p>
    </aside>
  );
}
