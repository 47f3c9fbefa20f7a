import { useCourse } from "../app/context";

/** The box "what notes get wrong"; its sentences and values are those of the lesson `slips`. */
export function Slip({ k }: { k: string }) {
  const { t, slips } = useCourse();
  if (!t.has(`slip.${k}.claim`)) return null;
  const values = slips?.values[k] ?? {};
  return (
    <aside class="slip" data-id={`slip-${k}`} aria-label={t.text("slip.title")}>
      <span class="kicker">{t("slip.title")}</span>
      <p class="claim">{t(`slip.${k}.claim`, values)}</p>
      <p>{t(`slip.${k}.right`, values)}</p>
    </aside>
  );
}
