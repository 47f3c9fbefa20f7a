import { useEffect, useState } from "preact/hooks";
import { useCourse } from "./context";
import { alone, lessonLink, neighbours } from "./links";
import type { Payload } from "./payload";
import { initialTheme, keepTheme } from "./preferences";
import type { Lang } from "./translate";

interface Props {
  payload: Payload;
  lang: Lang;
  onLang: (lang: Lang) => void;
}

/** The bar above each page: way back to the list, neighbours, language, light or dark. */
export function Header({ payload, lang, onLang }: Props) {
  const { t } = useCourse();
  const { before, after } = payload.lesson ? neighbours(payload) : {};
  const other: Lang = lang === "en" ? "ko" : "en";
  return (
    <header class="bar">
      <a class="home" href={alone(payload) ? undefined : payload.links.index} aria-current={payload.lesson ? undefined : "page"}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 4h4v4H4zM16 4h4v4h-4zM10 10h4v4h-4zM4 16h4v4H4zM16 16h4v4h-4z" />
        </svg>
        {t("course.name")}
      </a>
      <nav aria-label={t.text("nav.lessons")}>
        {before && (
          <a class="arrow" rel="prev" href={lessonLink(payload, before.name)} title={before[lang].title}>
            <span aria-hidden="true">←</span>
            <span class="hidden">{t.text("nav.previous", { title: before[lang].title })}</span>
          </a>
        )}
        {after && (
          <a class="arrow" rel="next" href={lessonLink(payload, after.name)} title={after[lang].title}>
            <span aria-hidden="true">→</span>
            <span class="hidden">{t.text("nav.next", { title: after[lang].title })}</span>
          </a>
        )}
      </nav>
      <button type="button" class="quiet" lang={other} data-id="language" onClick={() => onLang(other)}>
        {t("nav.other")}
      </button>
      <ThemeButton />
    </header>
  );
}

function ThemeButton() {
  const { t } = useCourse();
  const [theme, setTheme] = useState(initialTheme);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const other = theme === "dark" ? "light" : "dark";
  const turn = () => {
    keepTheme(other);
    setTheme(other);
  };
  return (
    <button type="button" class="quiet" data-id="theme" aria-label={t.text(`nav.${other}`)} onClick={turn}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="2" />
        <path d="M12 4a8 8 0 0 1 0 16z" />
      </svg>
    </button>
  );
}
