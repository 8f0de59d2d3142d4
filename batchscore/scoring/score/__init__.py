"""Pairs to scores: by the signature, or by a plan."""
