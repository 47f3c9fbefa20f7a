"""Distillation: a trained model, the teacher, passes on what it has learned to a smaller one, the student."""
