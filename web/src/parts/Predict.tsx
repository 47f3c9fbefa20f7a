import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { useCourse } from "../app/context";

interface Props {
  ask: ComponentChildren;
  options: ComponentChildren[];
  /** Index of the right option. */
  answer: number;
  children: ComponentChildren;
  id?: string;
}

/** Predict first, then see: the children are shown after the choice. */
export function Predict({ ask, options, answer, children, id }: Props) {
  const { t } = useCourse();
  const name = useId();
  const [chosen, setChosen] = useState<number | null>(null);
  const right = chosen === answer;
  return (
    <div class="predict" data-id={id} data-value={chosen ?? ""}>
      <fieldset>
        <legend>
          <span class="kicker">{t("predict.title")}</span> {ask}
        </legend>
        {options.map((option, index) => (
          <label key={index} class={chosen === null ? undefined : index === answer ? "right" : index === chosen ? "wrong" : undefined}>
            <input type="radio" name={name} checked={chosen === index} onChange={() => setChosen(index)} />
            <span>{option}</span>
          </label>
        ))}
      </fieldset>
      <div class="revealed" role="status">
        {chosen !== null && (
          <>
            <p class={right ? "verdict right" : "verdict wrong"}>{t(right ? "predict.right" : "predict.wrong")}</p>
            {children}
          </>
        )}
      </div>
    </div>
  );
}
