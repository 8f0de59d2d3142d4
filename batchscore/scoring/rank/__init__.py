"""Scored pairs to each user's top N, and the figures of all of them."""
