"""Drawings of architectures, from the data flow that is traced."""
