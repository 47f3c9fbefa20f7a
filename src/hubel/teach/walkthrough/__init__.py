"""Write the walkthrough: a page from single pixels to a trained network."""
