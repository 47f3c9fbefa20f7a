import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { Numbers, Payload } from "./payload";

/** The numbers of the page's lesson: those in the page, or asked of the server, which may have to compute them first. */
export function useNumbers(payload: Payload): { numbers: Numbers | null; failed: boolean } {
  const [numbers, setNumbers] = useState(payload.numbers);
  const [failed, setFailed] = useState(false);
  const { lesson, links } = payload;
  useEffect(() => {
    if (numbers || !lesson || !links.numbers) return;
    fetch(links.numbers.replace("{name}", lesson))
      .then((response) => (response.ok ? response.json() : Promise.reject(new Error(response.statusText))))
      .then(setNumbers, () => setFailed(true));
  }, []);
  // The step that the address names was not there yet when the browser looked for it.
  useLayoutEffect(() => {
    if (numbers && !payload.numbers && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [numbers]);
  return { numbers, failed };
}
