"""The page `slips`: what course notes get wrong, and the right values."""
