"""Trained models behind HTTP, and a page to try them on a photo."""
