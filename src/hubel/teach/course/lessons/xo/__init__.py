"""Lesson `xo`: how a small network tells an X from an O."""
