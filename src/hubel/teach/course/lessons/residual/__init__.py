"""The lesson `residual`: shortcuts, gradients and depth."""
