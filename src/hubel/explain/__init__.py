"""Explain predictions and networks: attribution maps, activation maps, filters, class templates, embeddings."""
