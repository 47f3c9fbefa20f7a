"""What everything else stands on: errors, atomic files, stateless random numbers, progress, the process itself."""
