"""Teach: convolution arithmetic step by step, image kernels, the walkthrough."""
