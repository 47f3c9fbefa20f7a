import { receptiveField } from "@math";

export interface Layer {
  name: string;
  kind: "convolution" | "max" | "average";
  kernel: number;
  stride: number;
  dilation: number;
}

const LAYER = /^(pool|avg)?([1-9]\d?)(?:x([1-9]\d?))?(?:\/([1-9]))?(?:d([1-9]))?$/;
export const MOST_LAYERS = 40;

/** Read layers as `hubel conv --stack` does, square ones only; `wrong` is the first word that is none, `many` how many are too many. */
export function parseStack(text: string): { layers: Layer[]; wrong?: string; many?: number } {
  const layers: Layer[] = [];
  const words = text.replace(/\s/g, "").split(",");
  if (words.length > MOST_LAYERS) return { layers, many: words.length };
  for (const word of words) {
    const found = LAYER.exec(word);
    if (!found || (found[3] !== undefined && found[3] !== found[2])) return { layers, wrong: word };
    const [, pooling, kernel, , stride, dilation] = found;
    layers.push({
      name: word,
      kind: pooling === "pool" ? "max" : pooling === "avg" ? "average" : "convolution",
      kernel: Number(kernel),
      stride: Number(stride ?? (pooling ? kernel : 1)),
      dilation: Number(dilation ?? 1),
    });
  }
  return { layers };
}

export interface LayerField {
  layer: Layer;
  /** Field of the map before, P; distance of its values in pixels, J; own field. */
  before: number;
  jump: number;
  field: number;
  /** P + K - 1 with its numbers. */
  formula: string;
}

export function layerFields(layers: Layer[]): LayerField[] {
  const fields = receptiveField(layers);
  let jump = 1;
  return layers.map((layer, index) => {
    const before = index ? fields[index - 1]! : 1;
    const factors = [layer.dilation, jump].filter((factor) => factor > 1);
    const formula = factors.length
      ? `${before} + (${layer.kernel} − 1) × ${factors.join(" × ")}`
      : `${before} + ${layer.kernel} − 1`;
    const found = { layer, before, jump, field: fields[index]!, formula };
    jump *= layer.stride;
    return found;
  });
}

/** The places of each map, the image first, that one value of the last map depends on. */
export function seenPlaces(layers: Layer[]): number[][] {
  const places = [[0]];
  for (const { kernel, stride, dilation } of [...layers].reverse()) {
    const taps = places[0]!.flatMap((place) => Array.from({ length: kernel }, (_, k) => place * stride + k * dilation));
    places.unshift([...new Set(taps)].sort((one, other) => one - other));
  }
  return places;
}
