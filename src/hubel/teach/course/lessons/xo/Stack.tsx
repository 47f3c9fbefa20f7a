import { DataTable, Figure, Grid, Panel, Question, Row, Step } from "@parts";
import { parameterCounts } from "./network";
import { ImageChoice, NAMES, useLab } from "./state";

export function Stack() {
  const { t, trace, weights } = useLab();
  const counts = parameterCounts(weights);
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const channels = trace.pooled.length;
  return (
    <Step id="stack" title={t.text("stack.title")}>
      <p>{t("stack.text", { channels, side: trace.pooled[0]!.length })}</p>
      <Panel>
        <ImageChoice id="stack-image" />
        <Row align="top">
          {NAMES.map((name, k) => (
            <Figure key={name} title={t("stack.channel", { name: t(`pattern.${name}`) })}>
              <Grid values={trace.pooled[k]!} digits={2} full={1} label={t.text(`pattern.${name}`)} />
            </Figure>
          ))}
        </Row>
        {(["x", "o"] as const).map((letter, k) => (
          <Row key={letter}>
            {NAMES.map((name, channel) => (
              <Figure key={name} title={channel === 0 ? t("stack.arrangement", { letter: t(`image.${letter}`) }) : " "}>
                <Grid size="small" full={1.6} values={weights.arrangements[k]![channel]!} label={`${t.text("stack.arrangement", { letter: t.text(`image.${letter}`) })}, ${t.text(`pattern.${name}`)}`} />
              </Figure>
            ))}
            <Figure title={t("stack.found")}>
              <Grid id={`arranged-${letter}`} size="large" values={trace.arranged[k]!} digits={2} full={0.5} label={`${t.text("stack.found")}: ${t.text(`image.${letter}`)}`} />
            </Figure>
          </Row>
        ))}
      </Panel>
      <p>{t("stack.see")}</p>
      <Question id="stack-question" ask={t("stack.question")}>
        <DataTable
          id="parameters"
          label={t.text("stack.question")}
          head={[t("stack.part"), t("stack.product"), t("stack.parameters")]}
          strong={4}
          rows={[
            [t("stack.patterns"), `${channels} × 1 × 3 × 3`, counts.patterns],
            [t("stack.arrangements"), `${weights.arrangements.length} × ${channels} × 3 × 3`, counts.arrangements],
            [t("stack.weights"), `${weights.output.length} × ${weights.output[0]!.length}`, counts.output],
            [t("stack.biases"), `${weights.bias.length}`, counts.bias],
            [t("stack.all"), "", all],
          ]}
        />
      </Question>
    </Step>
  );
}
