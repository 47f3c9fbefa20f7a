import type { ComponentChildren } from "preact";

/** One section of a lesson; one slide when printed. */
export function Step({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return (
    <section class="step" id={id} data-id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`} tabIndex={-1}>
        {title}
      </h2>
      {children}
    </section>
  );
}
