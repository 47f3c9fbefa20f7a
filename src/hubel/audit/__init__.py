"""Check data sets and models: label errors, duplicates, outliers; robustness under corruption."""
