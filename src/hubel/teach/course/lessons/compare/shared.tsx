import { Button, Picture, Row, useCourse } from "@parts";
import { useMemo } from "preact/hooks";
import { unpack, type Matrix } from "@math";
import { grey } from "./digits";

/** The stored and the test pictures, unpacked once. */
export function usePictures() {
  const { data } = useCourse();
  return useMemo(
    () => ({
      train: (data.train.pictures as string[]).map((text) => unpack(text, data.side)),
      test: (data.test.pictures as string[]).map((text) => unpack(text, data.side)),
      trainLabels: data.train.labels as string,
      testLabels: data.test.labels as string,
    }),
    [data],
  );
}

/** A digit as a picture. */
export function Digit({ levels, digit, zoom = 6, label, id }: { levels: Matrix; digit: number; zoom?: number; label?: string; id?: string }) {
  const { t, data } = useCourse();
  return (
    <Picture
      id={id}
      pixels={grey(levels, data.levels)}
      zoom={zoom}
      label={label ?? t.text("pixels.picture", { digit, side: data.side })}
    />
  );
}

/** Choose one of the test pictures. */
export function TestPicture({ index, onChange, id }: { index: number; onChange: (index: number) => void; id: string }) {
  const { t } = useCourse();
  const { test, testLabels } = usePictures();
  const by = (step: number) => onChange((index + step + test.length) % test.length);
  return (
    <Row id={id}>
      <Button id={`${id}-previous`} quiet onClick={() => by(-1)}>
        {t("controls.previous")}
      </Button>
      <Button id={`${id}-next`} quiet onClick={() => by(1)}>
        {t("controls.next")}
      </Button>
      <span data-id={`${id}-number`} data-value={index}>
        {t("controls.number", { number: index + 1, n: test.length, digit: testLabels[index] })}
      </span>
    </Row>
  );
}
