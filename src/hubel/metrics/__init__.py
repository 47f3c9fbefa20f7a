"""Compute metrics, tables and figures from outputs and targets. Nothing here reads images or runs a network."""
