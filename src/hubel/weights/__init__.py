"""Model files, pretrained weights, and conversion from other libraries."""
