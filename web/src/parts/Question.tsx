import type { ComponentChildren } from "preact";
import { useCourse } from "../app/context";

/** A question; its worked answer unfolds. */
export function Question({ ask, children, id }: { ask: ComponentChildren; children: ComponentChildren; id?: string }) {
  const { t } = useCourse();
  return (
    <div class="question" data-id={id}>
      <div class="ask">
        <span class="kicker">{t("question.title")}</span> {ask}
      </div>
      <details>
        <summary>{t("question.answer")}</summary>
        <div class="answer">{children}</div>
      </details>
    </div>
  );
}
