"""Lesson `history`: twenty years of networks, what they cost and how often they err."""
