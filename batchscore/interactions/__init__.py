"""Interactions: read, checked, joined with features, split and drawn from. Nothing here knows TensorFlow."""
