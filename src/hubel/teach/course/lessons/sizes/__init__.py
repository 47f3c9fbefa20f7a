"""Size arithmetic: stride, padding, dilation, several channels, and what a layer costs."""
