"""Foundations: errors, atomic files, stateless random numbers, progress, process settings."""
