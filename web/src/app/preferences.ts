import type { Lang } from "./translate";

const LANG = "hubel.lang";
const THEME = "hubel.theme";

/** The language of the page: that of the address, else the reader's choice, else the server's, else the browser's. */
export function initialLang(given: Lang | null): Lang {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked === "en" || asked === "ko") return asked;
  const kept = read(() => sessionStorage.getItem(LANG));
  if (kept === "en" || kept === "ko") return kept;
  return given ?? (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en");
}

export function keepLang(lang: Lang): void {
  read(() => sessionStorage.setItem(LANG, lang));
  const address = new URL(location.href);
  if (address.searchParams.has("lang")) {
    address.searchParams.set("lang", lang);
    history.replaceState(null, "", address);
  }
}

export type Theme = "light" | "dark";

export function initialTheme(): Theme {
  const kept = read(() => localStorage.getItem(THEME));
  if (kept === "light" || kept === "dark") return kept;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function keepTheme(theme: Theme): void {
  read(() => localStorage.setItem(THEME, theme));
}

/** Call what a browser may forbid for a page from disk. */
function read<Result>(call: () => Result): Result | null {
  try {
    return call();
  } catch {
    return null;
  }
}
