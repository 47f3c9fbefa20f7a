"""Draw: the style of the figures, contact sheets, curves."""
