import { useEffect, useRef, useState } from "preact/hooks";
import { useCourse } from "../app/context";
import { Button } from "./Button";

interface Props {
  /** Gets rows of [red, green, blue] from 0 to 1. */
  onPixels: (pixels: number[][][]) => void;
  /** Longer side of the result, in pixels. */
  size: number;
  label: string;
  id?: string;
  /** Crop the centre to a square. */
  square?: boolean;
  /** Where the photo goes, if it does not stay in the browser. */
  note?: string;
}

/** A photo from disk or a frame of the camera; it stays in the browser. */
export function PhotoInput({ onPixels, size, label, id, square, note }: Props) {
  const { t } = useCourse();
  const [problem, setProblem] = useState("");
  const [stream, setStream] = useState<MediaStream | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = stream;
    return () => stream?.getTracks().forEach((track) => track.stop());
  }, [stream]);
  const onFile = async (file: File | undefined) => {
    if (!file) return;
    try {
      const pixels = await pixelsOf(file, size, square);
      setProblem("");
      onPixels(pixels);
    } catch {
      setProblem(t.text("photo.unreadable"));
    }
  };
  const openCamera = async () => {
    try {
      setStream(await navigator.mediaDevices.getUserMedia({ video: true }));
      setProblem("");
    } catch {
      setProblem(t.text("photo.noCamera"));
    }
  };
  const takeFrame = () => {
    const shown = video.current;
    if (!shown?.videoWidth) return;
    onPixels(readPixels(shown, shown.videoWidth, shown.videoHeight, size, square));
    setStream(null);
  };
  return (
    <div
      class="photo"
      data-id={id}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void onFile(event.dataTransfer?.files[0]);
      }}
    >
      <label class="button">
        <input type="file" accept="image/*" class="hidden" onChange={(event) => void onFile(event.currentTarget.files?.[0])} />
        {label}
      </label>
      {stream ? (
        <>
          <video ref={video} autoplay playsInline muted aria-label={t.text("photo.camera")} />
          <Button onClick={takeFrame}>{t("photo.take")}</Button>
        </>
      ) : (
        <Button quiet onClick={() => void openCamera()}>
          {t("photo.camera")}
        </Button>
      )}
      <small>{note ?? t("photo.private")}</small>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

/** Rows of [red, green, blue] from 0 to 1 of an image file, its longer side so many pixels; `square` crops its centre. */
export async function pixelsOf(file: File, size: number, square?: boolean): Promise<number[][][]> {
  const image = await createImageBitmap(file);
  try {
    return readPixels(image, image.width, image.height, size, square);
  } finally {
    image.close();
  }
}

function readPixels(source: CanvasImageSource, width: number, height: number, size: number, square?: boolean): number[][][] {
  const side = Math.min(width, height);
  const [cropWidth, cropHeight] = square ? [side, side] : [width, height];
  const scale = size / Math.max(cropWidth, cropHeight);
  const [columns, rows] = [Math.max(1, Math.round(cropWidth * scale)), Math.max(1, Math.round(cropHeight * scale))];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, columns, rows);
  context.drawImage(source, (width - cropWidth) / 2, (height - cropHeight) / 2, cropWidth, cropHeight, 0, 0, columns, rows);
  const { data } = context.getImageData(0, 0, columns, rows);
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => [0, 1, 2].map((k) => data[4 * (r * columns + c) + k]! / 255)),
  );
}
