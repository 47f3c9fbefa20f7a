"""One folder a lesson: its numbers, its sentences, its published facts and its page."""
