import { Button, Figure, Grid, Panel, Row, Sign, Step, n, Choice } from "@parts";
import { matchMap } from "@math";
import { useEffect, useState } from "preact/hooks";
import { ImageChoice, NAMES, useLab } from "./state";

const EVERY = 120; // ms between two positions
const PAUSE = 150; // ms after an edit

export function Slide() {
  const { t, image, patterns, setPatterns, trace, data } = useLab();
  const [index, setIndex] = useState(0);
  const [at, setAt] = useState<number | null>(null); // position of the animation
  const [[row, column], point] = useState<[number, number]>([2, 2]);
  const [draft, setDraft] = useState<number[][] | null>(null); // the pattern that is being edited
  const pattern = draft ?? patterns[index]!;
  const side = pattern.length;
  const map = draft ? matchMap(image, draft) : trace.matches[index]!;
  const width = map[0]!.length;
  const positions = map.length * width;
  useEffect(() => {
    if (at === null) return;
    const timer = setTimeout(() => setAt(at + 1 < positions ? at + 1 : null), EVERY);
    return () => clearTimeout(timer);
  }, [at, positions]);
  const [r0, c0] = at === null ? [row, column] : [Math.floor(at / width), at % width];
  // The map here follows at once; all other steps a moment later, so that typing stays smooth.
  useEffect(() => {
    if (!draft) return;
    const timer = setTimeout(() => {
      setPatterns(patterns.map((one, i) => (i === index ? draft : one)));
      setDraft(null);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [draft]);
  const inWindow = (r: number, c: number) => r >= r0 && r < r0 + side && c >= c0 && c < c0 + side;
  return (
    <Step id="slide" title={t.text("slide.title")}>
      <p>{t("slide.text", { positions })}</p>
      <Panel>
        <Choice
          id="slide-pattern"
          label={t.text("match.pattern")}
          options={NAMES.map((name, value) => ({ value, label: t.text(`pattern.${name}`) }))}
          value={index}
          onChange={(to) => {
            setDraft(null);
            setIndex(to);
          }}
        />
        <ImageChoice id="slide-image" />
        <Row>
          <Figure title={t("match.image")}>
            <Grid
              values={image}
              colour="ink"
              size="small"
              label={t.text("match.image")}
              mark={(r, c) => (inWindow(r, c) ? "window" : undefined)}
            />
          </Figure>
          <Sign>∗</Sign>
          <Figure title={t("slide.edit")}>
            <Grid id="slide-kernel" values={pattern} onChange={setDraft} min={-9} max={9} full={1.6} label={t.text("slide.edit")} />
          </Figure>
          <Sign>=</Sign>
          <Figure title={t("slide.map")}>
            <Grid
              id="slide-map"
              values={map}
              digits={2}
              full={1}
              label={t.text("slide.map")}
              pointed={[r0, c0]}
              onPoint={(r, c) => {
                setAt(null);
                point([r, c]);
              }}
              mark={(r, c) => (r === r0 && c === c0 ? "result" : undefined)}
            />
          </Figure>
        </Row>
        <Row>
          <Button id="slide-play" onClick={() => setAt(at === null ? 0 : null)}>
            {t(at === null ? "slide.play" : "slide.stop")}
          </Button>
          <Button id="slide-reset" quiet onClick={() => {
              setDraft(null);
              setPatterns(data.weights.patterns);
            }}>
            {t("slide.reset")}
          </Button>
          <span>{t("slide.at", { row: r0 + 1, column: c0 + 1, score: n(map[r0]![c0]!, 2) })}</span>
        </Row>
      </Panel>
      <p>{t("slide.name")}</p>
    </Step>
  );
}
