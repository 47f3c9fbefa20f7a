import { Bars, Panel, Row, Step } from "@parts";
import { Pad } from "./Draw";
import { forward, resemblance } from "./network";
import { useLab } from "./state";

export function Try() {
  const { t, own, data, trained } = useLab();
  const { outputs } = forward(trained, own);
  const letters = ["x", "o"] as const;
  return (
    <Step id="try" title={t.text("try.title")}>
      <p>{t("try.text")}</p>
      <Panel>
        <Row>
          <Pad id="try-pad" />
          <div class="wide">
            <p>{t("try.network")}</p>
            <Bars id="try-network" label={t.text("try.network")} digits={2} full={1} bars={letters.map((letter, k) => ({ label: t.text(`image.${letter}`), value: outputs[k]! }))} />
            <p>{t("draw.scores")}</p>
            <Bars id="try-pixels" label={t.text("draw.scores")} digits={2} full={1} bars={letters.map((letter) => ({ label: t.text(`image.${letter}`), value: resemblance(own, data[letter]) }))} />
          </div>
        </Row>
      </Panel>
      <p>{t("try.end")}</p>
    </Step>
  );
}
