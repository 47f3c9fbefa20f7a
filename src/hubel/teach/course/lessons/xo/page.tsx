import type { LessonProps } from "@parts";
import { ComparePixels } from "./ComparePixels";
import { Draw } from "./Draw";
import { GradientStep } from "./GradientStep";
import { ImageNumbers } from "./ImageNumbers";
import { Loss } from "./Loss";
import { Maps } from "./Maps";
import { MatchPattern } from "./MatchPattern";
import { Outputs } from "./Outputs";
import { Pool } from "./Pool";
import { Rectify } from "./Rectify";
import { Slide } from "./Slide";
import { Stack } from "./Stack";
import { LabProvider, useNewLab } from "./state";
import { Training } from "./Training";
import { Try } from "./Try";

export default function Page(props: LessonProps) {
  return (
    <LabProvider value={useNewLab(props)}>
      <ImageNumbers />
      <ComparePixels />
      <MatchPattern />
      <Slide />
      <Maps />
      <Draw />
      <Rectify />
      <Pool />
      <Stack />
      <Outputs />
      <Loss />
      <GradientStep />
      <Training live={props.live} />
      <Try />
    </LabProvider>
  );
}
