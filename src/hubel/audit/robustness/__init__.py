"""Measure accuracy under the corruptions of ImageNet-C and under plain geometric and colour changes."""
