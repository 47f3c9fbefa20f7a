"""Training on many processes: one result whatever their number, and through any failure."""
