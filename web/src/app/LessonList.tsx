import { useCourse } from "./context";
import { lessonLink } from "./links";
import type { Payload } from "./payload";
import type { Lang } from "./translate";

/** The first page: what the course is, and its lessons. */
export function LessonList({ payload, lang }: { payload: Payload; lang: Lang }) {
  const { t } = useCourse();
  return (
    <>
      <h1>{t("course.title")}</h1>
      <p class="lead">{t("course.lead")}</p>
      <ol class="lessons">
        {payload.lessons.map((lesson) => (
          <li key={lesson.name}>
            <a href={lessonLink(payload, lesson.name)} data-id={`lesson-${lesson.name}`}>
              <strong>{lesson[lang].title}</strong>
              <span>{lesson[lang].summary}</span>
            </a>
          </li>
        ))}
      </ol>
      <p class="hint">{t(payload.live ? "course.here" : "course.exported")}</p>
    </>
  );
}
