import { Bars, Button, DrawingPad, Panel, Row, Step } from "@parts";
import { resemblance } from "./network";
import { useLab } from "./state";

/** The pad on which the reader draws; the same drawing in all steps. */
export function Pad({ id }: { id: string }) {
  const { t, own, draw, data } = useLab();
  const blank = own.map((row) => row.map(() => -1));
  return (
    <div class="results">
      <DrawingPad
        id={id}
        rows={own.length}
        columns={own[0]!.length}
        values={own.map((row) => row.map((pixel) => (pixel > 0 ? 1 : 0)))}
        onChange={(values) => draw(values.map((row) => row.map((drawn) => (drawn ? 1 : -1))))}
        label={t.text("draw.pad")}
      />
      <div>
        <Button id={`${id}-clear`} quiet onClick={() => draw(blank)}>
          {t("draw.clear")}
        </Button>
        <Button id={`${id}-x`} quiet onClick={() => draw(data.x)}>
          {t("image.x")}
        </Button>
        <Button id={`${id}-o`} quiet onClick={() => draw(data.o)}>
          {t("image.o")}
        </Button>
      </div>
    </div>
  );
}

export function Draw() {
  const { t, own, data } = useLab();
  return (
    <Step id="draw" title={t.text("draw.title")}>
      <p>{t("draw.text")}</p>
      <Panel>
        <Row>
          <Pad id="pad" />
          <div class="wide">
            <p>{t("draw.scores")}</p>
            <Bars
              id="draw-scores"
              label={t.text("draw.scores")}
              digits={2}
              full={1}
              bars={(["x", "o"] as const).map((name) => ({ label: t.text(`image.${name}`), value: resemblance(own, data[name]) }))}
            />
            <p class="hint">{t("draw.try")}</p>
          </div>
        </Row>
      </Panel>
    </Step>
  );
}
