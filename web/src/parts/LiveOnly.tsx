import type { ComponentChildren } from "preact";
import { useCourse } from "../app/context";
import type { Live } from "../app/live";
import type { T } from "../app/translate";
import { Button } from "./Button";

/** What needs the computing server; exported files say so instead. */
export function LiveOnly({ live, t, children }: { live?: Live; t?: T; children: ComponentChildren }) {
  const course = useCourse();
  if ((live ?? course.live).available) return <>{children}</>;
  return <p class="live-only">{(t ?? course.t)("live.needed", { command: <code>{`hubel learn ${course.live.lesson}`}</code> })}</p>;
}

interface ControlsProps {
  running: boolean;
  error: string | null;
  onStart: () => void;
  onStop: () => void;
  /** Text of the button that starts. */
  label: string;
  id?: string;
}

/** Start and stop of a live computation, and its error. */
export function LiveControls({ running, error, onStart, onStop, label, id }: ControlsProps) {
  const { t } = useCourse();
  return (
    <div class="live-controls" data-id={id} data-value={running ? "running" : "idle"}>
      {running ? (
        <Button id={id && `${id}-stop`} onClick={onStop}>
          {t("live.stop")}
        </Button>
      ) : (
        <Button id={id && `${id}-start`} onClick={onStart}>
          {label}
        </Button>
      )}
      <span role="status">{running && t("live.running")}</span>
      {error && (
        <p class="problem" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
