"""Teach convolutional networks: convolution arithmetic step by step, image kernels, the walkthrough, the demo."""
