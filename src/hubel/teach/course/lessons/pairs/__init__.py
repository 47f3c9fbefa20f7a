"""Pictures and sentences: two towers that learn from pairs."""
