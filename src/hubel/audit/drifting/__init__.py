"""Drift: compare new images with those of the training, all at once or one after another."""
