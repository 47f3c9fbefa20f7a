/** A picture in the short form of src/hubel/teach/course/photos.py: its bytes as base64. */
export interface Packed {
  rows: number;
  columns: number;
  channels: number;
  bytes: string;
}

/** Rows of [red, green, blue] from 0 to 1. */
export function unpack({ rows, columns, channels, bytes }: Packed): number[][][] {
  const values = atob(bytes);
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => {
      const at = (r * columns + c) * channels;
      return [0, 1, 2].map((k) => values.charCodeAt(at + (channels === 1 ? 0 : k)) / 255);
    }),
  );
}

/** Rows of grey values from 0 to 1: of a picture in colour, its first channel. */
export function unpackGrey(packed: Packed): number[][] {
  return unpack(packed).map((row) => row.map((pixel) => pixel[0]!));
}

/** The base64 form of a JPEG file with these pixels, for a live computation. */
export function jpegOf(pixels: number[][][]): string {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = [pixels.length, pixels[0]!.length];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.flat().forEach((pixel, i) => image.data.set([255 * pixel[0]!, 255 * pixel[1]!, 255 * pixel[2]!, 255], 4 * i));
  context.putImageData(image, 0, 0);
  return canvas.toDataURL("image/jpeg", 0.92).split(",")[1]!;
}
