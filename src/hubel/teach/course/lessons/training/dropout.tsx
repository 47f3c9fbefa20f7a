import { Button, Figure, Grid, Result, Row, Sign, Slider, Step, useCourse } from "@parts";
import { useState } from "preact/hooks";
import { Runs } from "./runs";

const VALUES = [0.4, 1.2, 0, 0.7, 2.1, 0.3, 1.5, 0.8];
const MANY = 1000;
const LIVE_SHARES = [0, 0.2, 0.5];
const LIVE_RATE = 0.05;
const LIVE_PICTURES = 100;
const LIVE_EPOCHS = 40;

const draw = (p: number) => VALUES.map(() => (Math.random() < p ? 0 : 1));
const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

/** Leave units out at random. */
export function Dropout() {
  const { t } = useCourse();
  const [p, setP] = useState(0.5);
  const [mask, setMask] = useState(() => draw(0.5));
  const [sums, setSums] = useState<{ draws: number; total: number }>({ draws: 0, total: 0 });
  const passed = (kept: number[]) => VALUES.map((value, i) => (value * kept[i]!) / (1 - p));
  const again = (times: number) => {
    let kept = mask;
    let sum = 0;
    for (let i = 0; i < times; i++) {
      kept = draw(p);
      sum += total(passed(kept));
    }
    setMask(kept);
    setSums({ draws: sums.draws + times, total: sums.total + sum });
  };
  const change = (to: number) => {
    setP(to);
    setMask(draw(to));
    setSums({ draws: 0, total: 0 });
  };
  return (
    <Step id="dropout" title={t.text("dropout.title")}>
      <p>{t("dropout.intro")}</p>
      <Slider id="dropout-p" label={t.text("dropout.p")} value={p} min={0} max={0.9} step={0.1} onChange={change} />
      <Row>
        <Figure title={t("dropout.values")}>
          <Grid values={[VALUES]} digits={1} size="small" label={t.text("dropout.values")} />
        </Figure>
        <Sign>×</Sign>
        <Figure title={t("dropout.mask")}>
          <Grid id="dropout-mask" values={[mask]} colour="none" size="small" mark={(_, column) => (mask[column] ? undefined : "wrong")} label={t.text("dropout.mask")} />
        </Figure>
        <Sign>→</Sign>
        <Figure title={t("dropout.result")}>
          <Grid id="dropout-result" values={[passed(mask)]} digits={1} size="small" label={t.text("dropout.result")} />
        </Figure>
      </Row>
      <Row>
        <Button id="dropout-draw" onClick={() => again(1)}>
          {t("dropout.draw")}
        </Button>
        <Button id="dropout-many" onClick={() => again(MANY)}>
          {t("dropout.many", { n: MANY })}
        </Button>
      </Row>
      <Row>
        <Result id="dropout-draws" label={t.text("dropout.draws")} value={sums.draws} />
        <Result id="dropout-sum" label={t.text("dropout.sum")} value={total(VALUES)} digits={2} />
        {sums.draws > 0 && <Result id="dropout-average" label={t.text("dropout.average")} value={sums.total / sums.draws} digits={2} />}
      </Row>
      <p>{t("dropout.text")}</p>
      <p>{t("dropout.live", { n: LIVE_PICTURES })}</p>
      <Runs
        id="dropout-live"
        both
        epochs={LIVE_EPOCHS}
        pictures={LIVE_PICTURES}
        runs={LIVE_SHARES.map((value) => ({ label: t.text("dropout.run", { p: value }), setting: { dropout: value, rate: LIVE_RATE } }))}
      />
      <p>{t("dropout.honest")}</p>
    </Step>
  );
}
