import type { Lang, Strings } from "./translate";
import type { Facts } from "./context";

/** What the server, or the exported file, gives to the page; see src/hubel/teach/course/page.py. */
export interface Payload {
  lesson: string | null;
  lang: Lang | null;
  live: boolean;
  links: { index: string; lesson: string };
  lessons: ({ name: string } & Record<Lang, { title: string; summary: string }>)[];
  strings: Record<Lang, Strings>;
  slips: { strings: Record<Lang, Strings>; values: Record<string, Record<string, number | string>> } | null;
  data: any;
  facts: Facts;
}
