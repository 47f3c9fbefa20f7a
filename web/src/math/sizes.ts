/** Output size of a convolution or a pooling: floor((n + 2p - d(k - 1) - 1) / s) + 1; 0 where the kernel does not fit. */
export function outputSize(size: number, kernel: number, stride = 1, padding = 0, dilation = 1): number {
  return Math.max(0, Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1);
}

export interface StackLayer {
  kernel: number;
  stride?: number;
  dilation?: number;
}

/** Side of the receptive field of one unit after each layer of a stack, in pixels of the input. */
export function receptiveField(layers: StackLayer[]): number[] {
  let field = 1;
  let jump = 1; // pixels of the input between neighbouring units
  return layers.map(({ kernel, stride = 1, dilation = 1 }) => {
    field += (kernel - 1) * dilation * jump;
    jump *= stride;
    return field;
  });
}
