"""Pairs in: files and folders as batches of rows."""
