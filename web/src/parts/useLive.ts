import { useEffect, useRef, useState } from "preact/hooks";
import { useCourse } from "../app/context";
import { ask, LiveError, type Live } from "../app/live";

/** Run a live computation: its events as rows, one after another. It stops when the part disappears. */
export function useLive<Row = any>(live: Live, action: string) {
  const { t } = useCourse();
  const [rows, setRows] = useState<Row[]>([]);
  const [running, setRunning] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const current = useRef<AbortController | null>(null);
  const frame = useRef(0);

  const said = (code: string, message: string) => (t.has(`live.error.${code}`) ? t.text(`live.error.${code}`) : message);
  const stop = () => {
    current.current?.abort();
    current.current = null;
    setRunning(false);
  };
  const start = (body: unknown = {}) => {
    stop();
    const controller = (current.current = new AbortController());
    const collected: Row[] = [];
    const show = () => {
      frame.current = 0;
      if (current.current === controller || current.current === null) setRows(collected.slice());
    };
    setRows([]);
    setError(null);
    setRunning(true);
    ask(live, action, body, controller.signal, (event) => {
      if (current.current !== controller) return;
      if (event.kind === "row") {
        collected.push(event.data as Row);
        frame.current ||= requestAnimationFrame(show); // events may come faster than the screen shows them
      }
      const { key, values, code, message } = event.data;
      if (event.kind === "error") setError(key ? t.text(key, values) : said(code, message));
    })
      .catch((problem: Error) => {
        if (current.current === controller) setError(said(problem instanceof LiveError ? problem.code : "", problem.message));
      })
      .finally(() => {
        if (current.current !== controller) return;
        current.current = null;
        setRows(collected.slice());
        setRunning(false);
      });
  };
  useEffect(() => stop, []);
  return { rows, running, error, start, stop };
}
