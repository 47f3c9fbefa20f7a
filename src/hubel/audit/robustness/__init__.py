"""Measure robustness to the corruptions of ImageNet-C and to simple geometric and photometric corruptions."""
