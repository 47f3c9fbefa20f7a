import { DataTable, DrawingPad, Fact, Figure, Grid, Question, Result, Row, Slider, Step, useCourse } from "@parts";
import { conv2d } from "@math";
import { useState } from "preact/hooks";

const EDGE = [
  [-1, 0, 1],
  [-2, 0, 2],
  [-1, 0, 1],
];
const PAD = 9; // pixels of the field to draw in
const STROKE = [2, 3, 4, 5]; // rows of the stroke that is drawn at first
const FARTHEST = 3;

/** Parameters of the three kinds of layers, with biases: grey picture of some side to maps of the same size. */
export function layerParameters(side: number, filters: number, kernel: number) {
  const places = side ** 2;
  return {
    full: (places + 1) * places * filters,
    local: (kernel ** 2 + 1) * places * filters,
    shared: (kernel ** 2 + 1) * filters,
  };
}

const unbroken = (formula: string) => formula.replaceAll(" ", "\u00a0");

/** The savings of weight sharing. */
export function Sharing() {
  const { t } = useCourse();
  const [side, setSide] = useState(28);
  const [filters, setFilters] = useState(8);
  const [kernel, setKernel] = useState(3);
  const { full, local, shared } = layerParameters(side, filters, kernel);
  return (
    <Step id="sharing" title={t.text("sharing.title")}>
      <p>{t("sharing.intro")}</p>
      <Slider id="share-side" label={t.text("sharing.side")} value={side} min={8} max={256} step={4} onChange={setSide} />
      <Slider id="share-filters" label={t.text("sharing.filters")} value={filters} min={1} max={64} step={1} onChange={setFilters} />
      <Slider id="share-kernel" label={t.text("sharing.kernel")} value={kernel} min={1} max={11} step={2} onChange={setKernel} />
      <DataTable
        id="share-table"
        label={t.text("sharing.parameters")}
        head={[t("sharing.layer"), t("sharing.rule"), t("sharing.parameters")]}
        rows={[
          [t("sharing.full"), unbroken(`(${side}² + 1) × ${side}² × ${filters}`), full],
          [t("sharing.local"), unbroken(`(${kernel}² + 1) × ${side}² × ${filters}`), local],
          [t("sharing.conv"), unbroken(`(${kernel}² + 1) × ${filters}`), shared],
        ]}
      />
      <p>{t("sharing.factor", { shared: local / shared, side, local: full / local })}</p>
      <p>{t("sharing.products", { products: kernel ** 2 * side ** 2 * filters })}</p>
      <Equivariance />
      <AlexNet />
      <p>
        {t("sharing.published", {
          linear: <Fact name="linear_error" />,
          knn: <Fact name="knn_error" />,
          lenet: <Fact name="lenet5_error" />,
        })}
      </p>
      <Questions />
    </Step>
  );
}

/** Move a drawing, and its map moves with it. */
function Equivariance() {
  const { t } = useCourse();
  const [drawn, setDrawn] = useState<number[][]>(() =>
    Array.from({ length: PAD }, (_, row) => Array.from({ length: PAD }, (_, column) => (STROKE.includes(row) && column === FARTHEST ? 1 : 0))),
  );
  const [kernel, setKernel] = useState(EDGE);
  const [by, setBy] = useState(1);
  const moved = drawn.map((row) => row.map((_, column) => row[column - by] ?? 0));
  const [map, movedMap] = [conv2d(drawn, kernel), conv2d(moved, kernel)];
  // Columns whose window saw the border, or what left the field, have nothing to be compared with.
  const difference = Math.max(0, ...map.flatMap((row, r) => row.slice(0, row.length - by).map((value, c) => Math.abs(value - movedMap[r]![c + by]!))));
  return (
    <>
      <p>{t("sharing.equivariance")}</p>
      <Row align="top">
        <DrawingPad id="share-pad" rows={PAD} columns={PAD} cell={22} values={drawn} onChange={setDrawn} label={t.text("sharing.pad", { side: PAD })} />
        <Figure title={t("sharing.kernel_grid")}>
          <Grid id="share-grid" values={kernel} onChange={setKernel} label={t.text("sharing.kernel_grid")} />
        </Figure>
      </Row>
      <Slider id="share-move" label={t.text("sharing.move")} value={by} min={0} max={FARTHEST} step={1} onChange={setBy} />
      <Row align="top">
        <Figure title={t("sharing.map")}>
          <Grid id="share-map" values={map} size="small" label={t.text("sharing.map")} />
        </Figure>
        <Figure title={t("sharing.moved_map")}>
          <Grid id="share-moved" values={movedMap} size="small" label={t.text("sharing.moved_map")} />
        </Figure>
      </Row>
      <Result id="share-difference" label={t.text("sharing.difference")} value={difference} />
    </>
  );
}

/** AlexNet's first layer with and without sharing. */
function AlexNet() {
  const { t, facts } = useCourse();
  const [map, filters, kernel, channels] = ["map", "filters", "kernel", "channels"].map((name) => facts[`alexnet_${name}`]!.value) as [
    number,
    number,
    number,
    number,
  ];
  const unit = kernel ** 2 * channels + 1;
  return (
    <p>
      {t("sharing.alexnet", {
        filters: <Fact name="alexnet_filters" />,
        map,
        kernel: <Fact name="alexnet_kernel" />,
        channels: <Fact name="alexnet_channels" />,
        shared: <span data-id="alexnet-shared" data-value={unit * filters}>{(unit * filters).toLocaleString("en-US")}</span>,
        unshared: <span data-id="alexnet-unshared" data-value={unit * filters * map ** 2}>{(unit * filters * map ** 2).toLocaleString("en-US")}</span>,
      })}
    </p>
  );
}

function Questions() {
  const { t, data, facts } = useCourse();
  const [train, side] = [facts.mnist_train!.value, facts.mnist_side!.value];
  const [knn, linear] = [train * side ** 2, side ** 2 * data.classes];
  const values = { train, side, classes: data.classes, knn, linear, ratio: knn / linear };
  return (
    <>
      <Question id="question-mnist" ask={t("sharing.question", values)}>
        <p>{t("sharing.worked", values)}</p>
      </Question>
      <Question id="question-size" ask={t("sharing.question_size")}>
        <p>{t("sharing.worked_size")}</p>
      </Question>
    </>
  );
}
