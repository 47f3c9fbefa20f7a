import { useId } from "preact/hooks";

interface Props<Value extends string | number> {
  label: string;
  options: { value: Value; label: string }[];
  value: Value;
  onChange: (value: Value) => void;
  id?: string;
}

/** One of several, as a row of radio buttons. */
export function Choice<Value extends string | number>({ label, options, value, onChange, id }: Props<Value>) {
  const name = useId();
  return (
    <fieldset class="choice" data-id={id} data-value={value}>
      <legend>{label}</legend>
      <div>
        {options.map((option) => (
          <label key={option.value}>
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              onChange={() => onChange(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
