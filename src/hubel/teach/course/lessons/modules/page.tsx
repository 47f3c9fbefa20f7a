import { Step, type LessonProps } from "@parts";
import { Auxiliary } from "./auxiliary";
import { Bottleneck } from "./bottleneck";
import { Compound } from "./compound";
import { Dense } from "./dense";
import { Inception } from "./inception";
import { Mix } from "./mix";
import { Separable } from "./separable";
import { Squeeze } from "./squeeze";

/** Modules that save computation, and what each costs. */
export default function Page(props: LessonProps) {
  const steps = {
    mix: Mix,
    squeeze: Squeeze,
    inception: Inception,
    auxiliary: Auxiliary,
    bottleneck: Bottleneck,
    separable: Separable,
    dense: Dense,
    compound: Compound,
  };
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
