"""Columns of pairs to inputs of the model: who feeds what, casts, bad rows."""
