"""Export models to ONNX and other formats, quantise them to int8, and benchmark the engines."""
