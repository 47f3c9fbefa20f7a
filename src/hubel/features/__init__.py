"""Run the frozen part of a network once: extractor, store, linear probe, nearest neighbours."""
