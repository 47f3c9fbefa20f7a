import { Step, type LessonProps } from "@parts";
import { Block } from "./block";
import { Depth } from "./depth";
import { Experiment } from "./experiment";
import { Gradient } from "./gradient";
import { Norms } from "./norms";
import { Training } from "./training";

/** Shortcuts: what they add, what the gradient gains, and why depth needs them. */
export default function Page(props: LessonProps) {
  const steps = { depth: Depth, block: Block, gradient: Gradient, norms: Norms, training: Training, experiment: Experiment };
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
