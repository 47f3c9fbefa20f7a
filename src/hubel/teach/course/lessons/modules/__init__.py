"""The lesson `modules`: 1x1, Inception, bottleneck, depthwise separable, dense concatenation, compound scaling."""
