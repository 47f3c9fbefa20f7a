import type { ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { CourseContext, type LessonProps } from "./context";
import { Header } from "./Header";
import { LessonList } from "./LessonList";
import { NextLesson } from "./NextLesson";
import { useNumbers } from "./useNumbers";
import { Outline } from "./Outline";
import type { Payload } from "./payload";
import { initialLang, keepLang } from "./preferences";
import { openWhenPrinted } from "./printing";
import { useStepKeys } from "./keys";
import { translator, type Lang } from "./translate";

const files = import.meta.glob<{ default: ComponentType<LessonProps> }>(
  "../../../src/hubel/teach/course/lessons/*/page.tsx",
  { eager: true },
);
const PAGES = new Map(Object.entries(files).map(([path, file]) => [path.split("/").at(-2), file.default]));

/** A page of the course: a lesson, or the list of all. */
export function App({ payload }: { payload: Payload }) {
  const [lang, setLang] = useState<Lang>(() => initialLang(payload.lang));
  const t = useMemo(() => translator(payload.strings[lang]), [payload, lang]);
  const live = useMemo(() => ({ available: payload.live, lesson: payload.lesson ?? "" }), [payload]);
  const Page = payload.lesson ? PAGES.get(payload.lesson) : undefined;
  const title = payload.lessons.find((lesson) => lesson.name === payload.lesson)?.[lang].title;
  useEffect(() => {
    document.documentElement.lang = lang;
    document.title = `${title ?? t.text("course.title")} · hubel`;
  }, [lang, t, title]);
  useEffect(openWhenPrinted, []);
  useStepKeys();
  const { numbers, failed } = useNumbers(payload);
  const props = { data: numbers?.data ?? {}, facts: payload.facts, t, lang, live };
  const choose = (to: Lang) => {
    keepLang(to);
    setLang(to);
  };
  return (
    <CourseContext.Provider value={{ ...props, slips: numbers?.slips ?? {} }}>
      <a class="skip" href="#main">
        {t("course.skip")}
      </a>
      <Header payload={payload} lang={lang} onLang={choose} />
      {Page ? (
        <div class="lesson">
          <Outline key={`${lang} ${numbers !== null}`} />
          <main id="main" tabIndex={-1}>
            <h1>{title}</h1>
            <p class="lead">{t("summary")}</p>
            {numbers ? (
              <Page {...props} />
            ) : (
              <p class="hint" role="status">
                {t(failed ? "course.failed" : "course.computing")}
              </p>
            )}
            <NextLesson payload={payload} lang={lang} />
          </main>
        </div>
      ) : (
        <main id="main" tabIndex={-1} class="front">
          <LessonList payload={payload} lang={lang} />
        </main>
      )}
    </CourseContext.Provider>
  );
}
