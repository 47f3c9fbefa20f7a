import { Formula, n, Panel, Result, Slider, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const FORMULA = "L = L_{0} + w (L_{1} + L_{2})";

/** The loss with auxiliary classifiers, and what they weigh. */
export function Auxiliary({ data, facts, t }: LessonProps) {
  const { number, weight, places, params, unused, used, share } = data.auxiliary;
  const [losses, setLosses] = useState([1, 2, 1.5]);
  const total = losses[0]! + weight * (losses[1]! + losses[2]!);
  const place = ([maps, high, wide]: number[]) => `${n(high!)} × ${n(wide!)} × ${n(maps!)}`;
  return (
    <>
      <p>{t("auxiliary.intro", { number, weight, first: place(places[0]), second: place(places[1]) })}</p>
      <Panel>
        <p>{t("auxiliary.formula")}</p>
        <Formula tex={FORMULA} />
        {["main", "one", "two"].map((key, index) => (
          <Slider
            key={key}
            id={`loss-${key}`}
            label={t.text(`auxiliary.${key}`)}
            value={losses[index]!}
            min={0}
            max={7}
            step={0.1}
            onChange={(to) => setLosses(losses.map((loss, other) => (other === index ? to : loss)))}
            format={(loss) => n(loss, 1)}
          />
        ))}
        <Result id="loss-total" value={total} digits={2} label={t.text("auxiliary.total")} />
      </Panel>
      <p>{t("auxiliary.costs", { unused, share: n(share, 0), params, used })}</p>
      <p>{t("auxiliary.later", { year: String(facts.auxiliary_later!.value) })}</p>
    </>
  );
}
