"""The architectures: one file a family, and the catalogue that lists them."""
