"""Pooling and the receptive field: windows without weights, stacks, and what one value really sees."""
