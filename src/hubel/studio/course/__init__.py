"""The HTTP side of `hubel learn`: pages, their script and style sheet, live computations."""
