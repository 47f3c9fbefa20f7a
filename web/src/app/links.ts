import type { Payload } from "./payload";

export const lessonLink = (payload: Payload, name: string) => payload.links.lesson.replace("{name}", name);

/** The lessons before and after that of the page. */
export function neighbours(payload: Payload) {
  const at = payload.lessons.findIndex((lesson) => lesson.name === payload.lesson);
  return { before: payload.lessons[at - 1], after: payload.lessons[at + 1] };
}

/** A file that stands alone has no list of lessons beside it. */
export const alone = (payload: Payload) => payload.lesson !== null && payload.lessons.length === 1;
