"""Running a SavedModel. Knows nothing of pairs or stages."""
