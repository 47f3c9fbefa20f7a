const [WIDTH, HEIGHT] = [1001, 538]; // of a slide in pixels: @page of layout.css less its margins, at 96 pixels an inch
const SMALLEST = 0.33;

/** Open all answers and shrink each step to one slide while the page is printed; return a function that stops doing so. */
export function openWhenPrinted(): () => void {
  let opened: HTMLDetailsElement[] = [];
  let shrunk: HTMLElement[] = [];
  const before = () => {
    opened = [...document.querySelectorAll<HTMLDetailsElement>("details:not([open])")];
    for (const one of opened) one.open = true;
    shrunk = [...document.querySelectorAll<HTMLElement>(".step")];
    shrunk.forEach(shrink);
  };
  const after = () => {
    for (const one of opened) one.open = false;
    for (const one of shrunk) one.style.zoom = "";
  };
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
  };
}

/** Zoom out until the step, laid out as wide as a slide, is no higher than one. */
function shrink(step: HTMLElement): void {
  const fits = (zoom: number) => {
    step.style.zoom = String(zoom);
    step.style.width = `${WIDTH / zoom}px`;
    return step.getBoundingClientRect().height <= HEIGHT;
  };
  let [low, high] = [SMALLEST, 1];
  if (!fits(high)) {
    for (let round = 0; round < 6; round++) {
      const middle = (low + high) / 2;
      if (fits(middle)) low = middle;
      else high = middle;
    }
    fits(low);
  }
  step.style.width = "";
}
