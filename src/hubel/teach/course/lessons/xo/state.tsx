import { Choice, type LessonProps, type T } from "@parts";
import { createContext } from "preact";
import { useContext, useMemo, useState } from "preact/hooks";
import { forward, type Trace, type Weights } from "./network";

export type Which = "x" | "o" | "own";

/** What all steps of the lesson share: the image that is looked at, and the patterns, which can be edited. */
export interface Lab {
  t: T;
  data: any;
  which: Which;
  choose: (which: Which) => void;
  /** Pixels of -1 and +1, `(9, 9)`. */
  image: number[][];
  own: number[][];
  draw: (own: number[][]) => void;
  patterns: number[][][];
  setPatterns: (patterns: number[][][]) => void;
  /** The network with these patterns and all else as at the beginning. */
  weights: Weights;
  trace: Trace;
  /** Weights after training: those of the training on the page, else those that came with it. */
  trained: Weights;
  setTrained: (weights: Weights) => void;
}

const LabContext = createContext<Lab>(null as unknown as Lab);
export const useLab = () => useContext(LabContext);
export const LabProvider = LabContext.Provider;

export const NAMES = ["falling", "crossing", "rising"] as const;

export function useNewLab({ data, t }: LessonProps): Lab {
  const [which, choose] = useState<Which>("x");
  const [own, setOwn] = useState<number[][]>(() => (data.x as number[][]).map((row) => row.map(() => -1)));
  const [patterns, setPatterns] = useState<number[][][]>(data.weights.patterns);
  const [trained, setTrained] = useState<Weights>(data.trained.weights);
  const image = which === "own" ? own : (data[which] as number[][]);
  const weights = useMemo<Weights>(() => ({ ...data.weights, patterns }), [data, patterns]);
  const trace = useMemo(() => forward(weights, image), [weights, image]);
  const draw = (to: number[][]) => {
    setOwn(to);
    choose("own");
  };
  return { t, data, which, choose, image, own, draw, patterns, setPatterns, weights, trace, trained, setTrained };
}

/** Which image the steps look at. */
export function ImageChoice({ id }: { id: string }) {
  const { t, which, choose } = useLab();
  const options = (["x", "o", "own"] as const).map((value) => ({ value, label: t.text(`image.${value}`) }));
  return <Choice id={id} label={t.text("image.choose")} options={options} value={which} onChange={choose} />;
}
