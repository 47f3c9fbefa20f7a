import type { ComponentChildren } from "preact";

/** Parts side by side, below each other where there is no room. */
export function Row({ children, id, align }: { children: ComponentChildren; id?: string; align?: "top" | "centre" }) {
  return (
    <div class={align === "top" ? "row top" : "row"} data-id={id}>
      {children}
    </div>
  );
}

/** A figure with a caption below it; `title` stands above. */
export function Figure({
  children,
  caption,
  title,
  id,
}: {
  children: ComponentChildren;
  caption?: ComponentChildren;
  title?: ComponentChildren;
  id?: string;
}) {
  return (
    <figure data-id={id}>
      {title && <div class="figure-title">{title}</div>}
      {children}
      {caption && <figcaption>{caption}</figcaption>}
    </figure>
  );
}

/** A frame around what belongs together and can be tried. */
export function Panel({ children, id }: { children: ComponentChildren; id?: string }) {
  return (
    <div class="panel" data-id={id}>
      {children}
    </div>
  );
}

/** A sign between two parts of a row, such as × or →. */
export function Sign({ children }: { children: ComponentChildren }) {
  return <span class="sign">{children}</span>;
}
