import { useEffect, useState } from "preact/hooks";
import { useCourse } from "./context";

interface Entry {
  id: string;
  title: string;
}

/** The steps of the lesson, beside the text where there is room. */
export function Outline() {
  const { t } = useCourse();
  const [entries, setEntries] = useState<Entry[]>([]);
  const [current, setCurrent] = useState("");
  useEffect(() => {
    const steps = [...document.querySelectorAll<HTMLElement>("section.step")];
    setEntries(steps.map((step) => ({ id: step.id, title: step.querySelector("h2")?.textContent ?? "" })));
    const onScroll = () => {
      const passed = steps.filter((step) => step.getBoundingClientRect().top < 160);
      setCurrent((passed.at(-1) ?? steps[0])?.id ?? "");
    };
    onScroll();
    addEventListener("scroll", onScroll, { passive: true });
    return () => removeEventListener("scroll", onScroll);
  }, []);
  return (
    <nav class="outline" aria-label={t.text("nav.steps")}>
      <ol>
        {entries.map(({ id, title }) => (
          <li key={id}>
            <a href={`#${id}`} aria-current={id === current ? "step" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ol>
    </nav>
  );
}
