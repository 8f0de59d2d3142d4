"""Anybody's SavedModel as a version that the ranking job knows all about."""
