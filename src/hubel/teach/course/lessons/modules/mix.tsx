import { Figure, Grid, n, Panel, Row, Sign, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

const factor = (value: number) => (value < 0 ? `(${n(value)})` : n(value));

/** A 1x1 convolution of a few small maps. */
export function Mix({ data, facts, t }: LessonProps) {
  const [maps, setMaps] = useState<number[][][]>(data.mix.maps);
  const [filters, setFilters] = useState<number[][]>(data.mix.filters);
  const mixed = filters.map((weights) =>
    maps[0]!.map((row, r) => row.map((_, c) => weights.reduce((sum, weight, map) => sum + weight * maps[map]![r]![c]!, 0))),
  );
  const full = 9;
  return (
    <>
      <p>{t("mix.intro", { year: String(facts.nin_year!.value) })}</p>
      <p>{t("mix.try")}</p>
      <Panel>
        <Row align="top">
          {maps.map((map, index) => (
            <Figure key={index} caption={t("mix.map", { number: index + 1 })}>
              <Grid
                id={`mix-map-${index}`}
                values={map}
                onChange={(to) => setMaps(maps.map((one, other) => (other === index ? to : one)))}
                min={-9}
                max={9}
                full={full}
                mark={(r, c) => (r === 0 && c === 0 ? "window" : undefined)}
                label={t.text("mix.map", { number: index + 1 })}
              />
            </Figure>
          ))}
          <Sign>∗</Sign>
          <Figure caption={t("mix.filter")}>
            <Grid id="mix-filters" values={filters} onChange={setFilters} min={-9} max={9} full={full} label={t.text("mix.filter")} />
          </Figure>
        </Row>
        <Row align="top">
          {mixed.map((map, index) => (
            <Figure key={index} caption={t("mix.result", { number: index + 1 })}>
              <Grid
                id={`mix-result-${index}`}
                values={map}
                full={full}
                mark={(r, c) => (r === 0 && c === 0 ? "result" : undefined)}
                label={t.text("mix.result", { number: index + 1 })}
              />
            </Figure>
          ))}
        </Row>
        <ul>
          {filters.map((weights, index) => (
            <li key={index}>
              {t("mix.step", {
                number: index + 1,
                terms: weights.map((weight, map) => `${factor(weight)} × ${factor(maps[map]![0]![0]!)}`).join(" + "),
                sum: mixed[index]![0]![0]!,
              })}
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}
