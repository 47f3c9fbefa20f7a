import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Live } from "./live";
import type { Numbers } from "./payload";
import { translator, type Lang, type T } from "./translate";

export type Facts = Record<string, { value: number; source: string; note?: string }>;

/** What every page of a lesson gets. */
export interface LessonProps {
  data: any;
  facts: Facts;
  t: T;
  lang: Lang;
  live: Live;
}

export interface Course extends LessonProps {
  slips: Numbers["slips"];
}

export const CourseContext = createContext<Course>({
  data: {},
  facts: {},
  t: translator({}),
  lang: "en",
  live: { available: false, lesson: "" },
  slips: {},
});

export const useCourse = () => useContext(CourseContext);
