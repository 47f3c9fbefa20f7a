"""Define tasks: targets, loss, metric, decoding, drawing and export signature, one file a task."""
