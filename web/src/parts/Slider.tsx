import { useId } from "preact/hooks";
import { n } from "../app/numbers";

interface Props {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  onChange: (value: number) => void;
  format?: (value: number) => string;
  id?: string;
}

export function Slider({ label, value, min, max, step, onChange, format = n, id }: Props) {
  const own = useId();
  return (
    <div class="slider" data-id={id} data-value={value}>
      <label for={own}>{label}</label>
      <input
        id={own}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={format(value)}
        onInput={(event) => onChange(Number(event.currentTarget.value))}
      />
      <output for={own}>{format(value)}</output>
    </div>
  );
}
