"""Kernels on photos: one dimension first, then nine numbers that sharpen, blur and find edges."""
