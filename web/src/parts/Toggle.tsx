interface Props {
  label: string;
  value: boolean;
  onChange: (value: boolean) => void;
  id?: string;
}

export function Toggle({ label, value, onChange, id }: Props) {
  return (
    <label class="toggle" data-id={id} data-value={value}>
      <input type="checkbox" role="switch" checked={value} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}
