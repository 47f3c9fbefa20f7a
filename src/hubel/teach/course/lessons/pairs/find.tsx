import { Button, Fact, LiveOnly, Panel, Question, Row, n, useLive, type LessonProps, type Packed } from "@parts";
import { useState } from "preact/hooks";
import { Scene } from "./scene";

interface Found {
  similarity: number;
  scene: Packed;
  caption: string;
}

/** Search scenes by a sentence, and what else follows from one space for both. */
export function Find({ data, live, t, lang }: LessonProps) {
  const [sentence, setSentence] = useState<string>(data.captions[lang][0]);
  const { rows, running, error, start } = useLive<Found>(live, "find");
  const search = () => start({ lang, sentence });
  return (
    <>
      <p>{t("find.intro")}</p>
      <LiveOnly live={live} t={t}>
        <Panel>
          <p>{t("find.first")}</p>
          <form
            class="row"
            onSubmit={(event) => {
              event.preventDefault();
              search();
            }}
          >
            <label class="field">
              {t("find.sentence")}{" "}
              <input
                type="text"
                data-id="sentence"
                maxLength={200}
                value={sentence}
                onInput={(event) => setSentence(event.currentTarget.value)}
              />
            </label>
            <Button id="search" onClick={search} disabled={running}>
              {t("find.start")}
            </Button>
          </form>
          {error && (
            <p class="problem" role="alert" data-id="find-error">
              {error}
            </p>
          )}
          <Row id="found" align="top">
            {rows.map((found, place) => (
              <Scene
                key={place}
                scene={found.scene}
                label={found.caption}
                caption={t("find.match", { value: n(found.similarity, 3), caption: found.caption })}
                zoom={4}
                t={t}
              />
            ))}
          </Row>
        </Panel>
      </LiveOnly>
      <p>{t("find.fuzzy")}</p>
      <h3>{t("find.classes")}</h3>
      <p>{t("find.shot")}</p>
      <p>
        {t("find.clip", {
          zero_shot: <Fact name="zero_shot" />,
          imagenet: <Fact name="imagenet" />,
          days: <Fact name="days" />,
          gpus: <Fact name="gpus" />,
        })}
      </p>
      <Question id="one-pair" ask={t("find.question")}>
        <p>{t("find.answer")}</p>
      </Question>
    </>
  );
}
