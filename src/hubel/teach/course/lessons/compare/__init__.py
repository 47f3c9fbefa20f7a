"""The lesson on comparing pictures, templates, and shared weights."""
