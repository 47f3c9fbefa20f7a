"""Work through a convolution: output size, products, weights, alternative layers, image kernels."""
