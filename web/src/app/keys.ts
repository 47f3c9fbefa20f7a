import { useEffect } from "preact/hooks";

const OWN_KEYS = "input, textarea, select, summary, [role=slider], [role=application], [data-keys]";

/** Go to the next or the previous step by the right and left arrow keys, wherever nothing else uses these. */
export function useStepKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.target instanceof Element && event.target.closest(OWN_KEYS)) return;
      const steps = [...document.querySelectorAll<HTMLElement>("section.step")];
      const passed = steps.filter((step) => step.getBoundingClientRect().top < 120).length - 1;
      const step = steps[Math.min(Math.max(passed + by, 0), steps.length - 1)];
      if (!step) return;
      event.preventDefault();
      step.scrollIntoView();
      step.querySelector<HTMLElement>("h2")?.focus({ preventScroll: true });
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
