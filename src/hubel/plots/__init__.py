"""Draw figures: style, contact sheets, tiles, learning curves, PNG files."""
