import { Fact, Predict, Row, type LessonProps, type Packed } from "@parts";
import { Scene } from "./scene";

const SIZES = 2;
const SHAPES = 4;
const ARRANGEMENTS = 2;

/** Scenes with their captions, and how many kinds there are. */
export function Pairs({ data, facts, t, lang }: LessonProps) {
  const one = SIZES * data.colours * SHAPES;
  const captions: string[] = data.captions[lang];
  return (
    <>
      <p>{t("pairs.intro")}</p>
      <Row id="scenes" align="top">
        {data.scenes.slice(0, data.shown).map((scene: Packed, row: number) => (
          <Scene key={row} scene={scene} label={captions[row]!} caption={captions[row]} zoom={4} t={t} />
        ))}
      </Row>
      <Predict
        id="kinds"
        ask={t("pairs.ask", { sizes: SIZES, colours: data.colours, shapes: SHAPES })}
        options={[
          t("pairs.figures", { value: 2 * (SIZES + data.colours + SHAPES) }),
          t("pairs.one", { value: 2 * one }),
          t("pairs.all", { value: data.kinds }),
        ]}
        answer={2}
      >
        <p>{t("pairs.seen", { one, arrangements: ARRANGEMENTS, kinds: data.kinds })}</p>
      </Predict>
      <p>{t("pairs.views")}</p>
      <p>{t("pairs.clip", { pairs: <Fact name="pairs" />, year: String(facts.year!.value) })}</p>
    </>
  );
}
