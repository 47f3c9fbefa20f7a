import type { ComponentChildren } from "preact";

interface Props {
  onClick: () => void;
  children: ComponentChildren;
  id?: string;
  disabled?: boolean;
  quiet?: boolean;
}

export function Button({ onClick, children, id, disabled, quiet }: Props) {
  return (
    <button type="button" class={quiet ? "quiet" : "button"} data-id={id} disabled={disabled} onClick={onClick}>
      {children}
    </button>
  );
}
