import { Step, type LessonProps } from "@parts";
import { Find } from "./find";
import { Hand } from "./hand";
import { Pairs } from "./pairs";
import { Train } from "./train";

/** Pictures and sentences: what a pair is, its loss by hand, the training, and what can be done with it. */
export default function Page(props: LessonProps) {
  const steps = { pairs: Pairs, hand: Hand, train: Train, find: Find };
  return (
    <>
      {Object.entries(steps).map(([id, Content]) => (
        <Step key={id} id={id} title={props.t.text(`${id}.title`)}>
          <Content {...props} />
        </Step>
      ))}
    </>
  );
}
