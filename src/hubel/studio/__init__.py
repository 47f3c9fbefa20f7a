"""Serve models over HTTP, with a web page to classify photos."""
