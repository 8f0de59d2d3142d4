"""Columns as integer codes, keys of pairs, hashes, and how far scores may lie apart."""
