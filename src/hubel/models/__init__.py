"""Network architectures: a file per family, and the catalogue of all networks."""
