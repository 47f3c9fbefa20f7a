export type Matrix = number[][];
export interface ConvolutionOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
}

/** Slide a kernel over an image, without flipping it, as the layers of networks do; zeros stand outside the image. */
export function conv2d(image: Matrix, kernel: Matrix, options: ConvolutionOptions = {}): Matrix {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  const [height, width] = [image.length, image[0]?.length ?? 0];
  const [kernelHeight, kernelWidth] = [kernel.length, kernel[0]?.length ?? 0];
  const rows = Math.floor((height + 2 * padding - dilation * (kernelHeight - 1) - 1) / stride) + 1;
  const columns = Math.floor((width + 2 * padding - dilation * (kernelWidth - 1) - 1) / stride) + 1;
  const result: Matrix = [];
  for (let row = 0; row < rows; row++) {
    const line = new Array<number>(Math.max(columns, 0)).fill(0);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < kernelHeight; i++) {
        const values = image[row * stride - padding + i * dilation];
        if (!values) continue;
        for (let j = 0; j < kernelWidth; j++) {
          const value = values[column * stride - padding + j * dilation];
          if (value !== undefined) sum += value * kernel[i]![j]!;
        }
      }
      line[column] = sum;
    }
    result.push(line);
  }
  return result;
}

/** Slide a kernel over a sequence. */
export function conv1d(values: number[], kernel: number[], options: ConvolutionOptions = {}): number[] {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  const padded = [...new Array<number>(padding).fill(0), ...values, ...new Array<number>(padding).fill(0)];
  return conv2d([padded], [kernel], { stride, dilation })[0]?.slice() ?? [];
}
