import { useCourse } from "./context";
import { alone, lessonLink, neighbours } from "./links";
import type { Payload } from "./payload";
import type { Lang } from "./translate";

/** What stands at the end of a lesson: the way on. */
export function NextLesson({ payload, lang }: { payload: Payload; lang: Lang }) {
  const { t } = useCourse();
  const { after } = neighbours(payload);
  return (
    <footer class="end">
      {after ? (
        <a class="on" href={lessonLink(payload, after.name)}>
          <span>{t("nav.on")}</span>
          <strong>{after[lang].title}</strong>
        </a>
      ) : alone(payload) ? null : (
        <a class="on" href={payload.links.index}>
          <strong>{t("nav.list")}</strong>
        </a>
      )}
      <p class="hint">{t("nav.keys")}</p>
    </footer>
  );
}
