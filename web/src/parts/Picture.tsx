import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  /** Rows of grey values, or of [red, green, blue], from 0 to 1. */
  pixels: number[][] | number[][][];
  /** Pixels of the screen for one of the picture. */
  zoom?: number;
  /** Text alternative. */
  label: string;
  id?: string;
  smooth?: boolean;
}

/** Pixels as a picture. */
export function Picture({ pixels, zoom = 4, label, id, smooth }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [height, width] = [pixels.length, pixels[0]?.length ?? 0];
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !width) return;
    const image = context.createImageData(width, height);
    let at = 0;
    for (const row of pixels)
      for (const pixel of row) {
        const [red, green, blue] = typeof pixel === "number" ? [pixel, pixel, pixel] : (pixel as number[]);
        image.data[at++] = 255 * red!;
        image.data[at++] = 255 * green!;
        image.data[at++] = 255 * blue!;
        image.data[at++] = 255;
      }
    context.putImageData(image, 0, 0);
  }, [pixels, width, height]);
  return (
    <canvas
      ref={canvas}
      class={smooth ? "picture smooth" : "picture"}
      width={width}
      height={height}
      style={{ width: `${width * zoom}px`, aspectRatio: `${width} / ${height}` }}
      role="img"
      aria-label={label}
      data-id={id}
    />
  );
}
