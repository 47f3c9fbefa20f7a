"""Images: where they come from, how one becomes a tensor, which split it is in, how it reaches the network."""
