"""Build the walkthrough page, from single pixels to a trained network."""
