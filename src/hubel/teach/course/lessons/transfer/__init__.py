"""Lesson `transfer`: pretrained networks on few photos, augmentation, ten crops and ensembles."""
