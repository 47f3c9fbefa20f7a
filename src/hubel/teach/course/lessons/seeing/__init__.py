"""Lesson `seeing`: filters, maps, Grad-CAM and occlusion, and how each misleads."""
