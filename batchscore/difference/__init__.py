"""Two outputs of a run, compared by rank."""
