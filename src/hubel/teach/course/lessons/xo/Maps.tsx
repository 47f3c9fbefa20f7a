import { Figure, Grid, Panel, Predict, Row, Step, n } from "@parts";
import { matchMap } from "@math";
import { ImageChoice, NAMES, useLab } from "./state";

const PERFECT = 0.999;

export function Maps() {
  const { t, data, trace, patterns, image } = useLab();
  const side = patterns[0]!.length;
  const [onX, onO] = [data.x, data.o].map((letter) => matchMap(letter, data.weights.patterns[0]).flat()) as [number[], number[]];
  const best = Math.max(...onO);
  return (
    <Step id="maps" title={t.text("maps.title")}>
      <p>{t("maps.text", { filters: patterns.length })}</p>
      <Predict
        id="maps-predict"
        ask={t("maps.ask", { count: atLeast(onX, PERFECT) })}
        options={[t("maps.same"), t("maps.fewer"), t("maps.none")]}
        answer={2}
      >
        <p>{t("maps.see", { best: n(best, 2), count: atLeast(onO, best) })}</p>
      </Predict>
      <Panel>
        <ImageChoice id="maps-image" />
        {NAMES.map((name, k) => {
          const map = trace.matches[k]!;
          const perfect = map.flatMap((row, r) => row.flatMap((value, c) => (value > PERFECT ? [[r, c] as const] : [])));
          const framed = (r: number, c: number) =>
            perfect.some(([top, left]) => r >= top && r < top + side && c >= left && c < left + side);
          return (
            <Row key={name}>
              <Figure title={t(`pattern.${name}`)}>
                <Grid size="small" values={patterns[k]!} full={1.6} label={t.text(`pattern.${name}`)} />
              </Figure>
              <Figure caption={t("maps.perfect", { count: perfect.length })}>
                <Grid
                  size="tiny"
                  values={image}
                  bare
                  colour="ink"
                  label={t.text("maps.where", { count: perfect.length })}
                  mark={(r, c) => (framed(r, c) ? "window" : undefined)}
                />
              </Figure>
              <Figure title={t("slide.map")}>
                <Grid id={`map-${name}`} values={map} digits={2} full={1} label={`${t.text("slide.map")}: ${t.text(`pattern.${name}`)}`} />
              </Figure>
            </Row>
          );
        })}
      </Panel>
      <p>{t("maps.colours")}</p>
    </Step>
  );
}

const atLeast = (values: number[], least: number) => values.filter((value) => value > least - 1e-9).length;
