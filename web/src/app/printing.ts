const [WIDTH, HEIGHT] = [1001, 538]; // of a slide in pixels: @page of layout.css less its margins, at 96 pixels an inch
const SMALLEST = 0.33;
const LOSS = 0.85; // of the zoom, that unbroken frames may cost

/** Open all answers and lay each step out as one slide while the page is printed; return a function that stops doing so. */
export function openWhenPrinted(): () => void {
  let opened: HTMLDetailsElement[] = [];
  let shrunk: HTMLElement[] = [];
  const before = () => {
    document.documentElement.classList.add("slides");
    opened = [...document.querySelectorAll<HTMLDetailsElement>("details:not([open])")];
    for (const one of opened) one.open = true;
    shrunk = [...document.querySelectorAll<HTMLElement>(".step")];
    shrunk.forEach(shrink);
  };
  const after = () => {
    for (const one of opened) one.open = false;
    for (const one of shrunk) {
      one.style.zoom = "";
      one.classList.remove("unbroken");
    }
    document.documentElement.classList.remove("slides");
  };
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
  };
}

/** Zoom out until the step, laid out in columns as wide together as a slide, is no higher than one. */
function shrink(step: HTMLElement): void {
  const broken = largest(step);
  step.classList.add("unbroken"); // frames that stay in one column read better, where they cost little
  if (largest(step) < LOSS * broken) {
    step.classList.remove("unbroken");
    step.style.zoom = String(broken);
  }
  step.style.width = "";
}

/** Set and return the largest zoom at which the step fits on a slide. */
function largest(step: HTMLElement): number {
  const fits = (zoom: number) => {
    step.style.zoom = String(zoom);
    step.style.width = `${WIDTH / zoom}px`;
    return step.getBoundingClientRect().height <= HEIGHT;
  };
  if (fits(1)) return 1;
  let [low, high] = [SMALLEST, 1];
  for (let round = 0; round < 6; round++) {
    const middle = (low + high) / 2;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  fits(low);
  return low;
}
