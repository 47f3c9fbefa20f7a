"""What a network looks at: maps, filters, class patterns, and where on an image its answer comes from."""
