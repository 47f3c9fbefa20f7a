import type { Lang, Strings } from "./translate";
import type { Facts } from "./context";

/** What the server, or the exported file, gives to the page; see src/hubel/teach/course/page.py. */
export interface Payload {
  lesson: string | null;
  lang: Lang | null;
  live: boolean;
  links: { index: string; lesson: string; numbers?: string };
  lessons: ({ name: string } & Record<Lang, { title: string; summary: string }>)[];
  strings: Record<Lang, Strings>;
  facts: Facts;
  /** Null in served pages, which ask for them. */
  numbers: Numbers | null;
}

/** What is computed for a lesson: its own numbers, and those of the boxes on common mistakes by box. */
export interface Numbers {
  data: any;
  slips: Record<string, Record<string, number | string>>;
}
