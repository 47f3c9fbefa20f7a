"""Lesson `autoencoder`: images through a few numbers and back."""
