"""Engines that run networks: torch, OpenVINO, ONNX Runtime; one file each, and the registry that lists them.

The registry imports no engine's library: each is imported when it is opened. An engine is added by a file with its
record, `ENGINE`, and a line in `hubel.inference.engines.registry`.
"""
