"""Compute a convolution by hand: output size, products, parameters, alternatives, image kernels."""
