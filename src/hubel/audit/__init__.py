"""Audit data sets and models: label errors, duplicates, outliers; robustness to corruptions."""
