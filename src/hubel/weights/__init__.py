"""Weights on disk: the model file."""
