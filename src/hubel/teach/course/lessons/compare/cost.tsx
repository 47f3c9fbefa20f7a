import { Choice, DataTable, Fact, Figure, LiveControls, LiveOnly, Plot, Predict, Slider, Step, n, useCourse, useLive } from "@parts";
import { useState } from "preact/hooks";

const MEBI = 1024 ** 2;
const GIBI = 1024 ** 3;
const POWERS = [1, 7] as const; // of ten: fewest and most stored pictures

interface CostRow {
  model: "cnn" | "knn";
  n: number;
  ms: number;
  bytes: number;
}

/** What one answer costs. */
export function Cost() {
  const { t, data } = useCourse();
  const [power, setPower] = useState(4);
  const [side, setSide] = useState<number>(data.side);
  const count = Math.round(10 ** power);
  const numbers = count * side * side;
  return (
    <Step id="cost" title={t.text("cost.title")}>
      <p>{t("cost.intro")}</p>
      <Slider
        id="cost-n"
        label={t.text("cost.n")}
        value={power}
        min={POWERS[0]}
        max={POWERS[1]}
        step={0.5}
        format={(value) => n(Math.round(10 ** value))}
        onChange={setPower}
      />
      <Choice
        id="cost-side"
        label={t.text("cost.side")}
        options={data.sides.map((value: number) => ({ value, label: String(value) }))}
        value={side}
        onChange={setSide}
      />
      <DataTable
        id="cost-table"
        label={t.text("cost.what")}
        head={[t("cost.what"), t("cost.value")]}
        rows={[
          [t("cost.numbers"), numbers],
          [t("cost.memory", { bytes: data.number_bytes }), (numbers * data.number_bytes) / MEBI],
          [t("cost.products"), numbers],
        ]}
      />
      <Predict
        id="predict-cost"
        ask={t("cost.ask")}
        options={[t("cost.same"), t("cost.tenfold"), t("cost.hundredfold")]}
        answer={1}
      >
        <p>{t("cost.seen")}</p>
      </Predict>
      <Measured />
      <ImageNet />
      <Figure title={t("cost.growth")}>
        <Plot
          id="growth"
          lines={[
            { label: t.text("vote.accuracy"), points: data.growth.map((row: { n: number; accuracy: number }) => [row.n, 100 * row.accuracy]) },
          ]}
          logX
          xLabel={t.text("cost.stored")}
          yLabel={t.text("vote.accuracy")}
          label={t.text("cost.growth")}
        />
      </Figure>
    </Step>
  );
}

/** Time and memory, measured on this computer. */
function Measured() {
  const { t, data, live } = useCourse();
  const { rows, running, error, start, stop } = useLive<CostRow>(live, "cost");
  const cnn = rows.find((row) => row.model === "cnn");
  const knn = rows.filter((row) => row.model === "knn");
  const [first, last] = [knn[0], knn.at(-1)];
  return (
    <>
      <p>{t("cost.live", { parameters: data.network.parameters })}</p>
      <LiveOnly live={live} t={t}>
        <LiveControls id="cost-live" running={running} error={error} onStart={() => start()} onStop={stop} label={t.text("cost.start")} />
        {cnn && first && last && (
          <>
            <Plot
              id="cost-plot"
              lines={[
                { label: t.text("cost.knn"), points: knn.map((row) => [row.n, row.ms]) },
                { label: t.text("cost.cnn"), points: [first, last].map((row) => [row.n, cnn.ms]) },
              ]}
              logX
              logY
              xLabel={t.text("cost.stored")}
              yLabel={t.text("cost.time")}
              label={t.text("cost.plot")}
            />
            <DataTable
              id="cost-rows"
              label={t.text("cost.plot")}
              head={[t("cost.row_n"), t("cost.row_ms"), t("cost.row_mib")]}
              rows={knn.map((row) => [n(row.n), row.ms, row.bytes / MEBI])}
            />
            {!running && (
              <p data-id="cost-slope" data-value={last.ms / first.ms}>
                {t("cost.slope", {
                  low: first.n,
                  high: last.n,
                  times: last.n / first.n,
                  slower: n(last.ms / first.ms, 0),
                  cnn_ms: n(cnn.ms, 2),
                  cnn_kib: n(cnn.bytes / 1024, 1),
                })}
              </p>
            )}
          </>
        )}
      </LiveOnly>
    </>
  );
}

/** What k-NN would store of ImageNet. */
function ImageNet() {
  const { t, data, facts } = useCourse();
  const [pictures, side] = [facts.imagenet_pictures!.value, facts.imagenet_side!.value];
  const numbers = pictures * side * side * facts.alexnet_channels!.value;
  return (
    <p>
      {t("cost.imagenet", {
        pictures: <Fact name="imagenet_pictures" />,
        side,
        same: <Fact name="imagenet_side" />,
        numbers,
        gib: <span data-id="imagenet-gib" data-value={(numbers * data.number_bytes) / GIBI}>{n((numbers * data.number_bytes) / GIBI, 0)}</span>,
      })}
    </p>
  );
}
