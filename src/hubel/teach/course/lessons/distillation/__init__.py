"""The lesson `distillation`: what a network knows beside its answer, and how another one learns it."""
