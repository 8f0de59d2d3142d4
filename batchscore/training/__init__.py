"""Interactions in, an exported model out. Read `train.py` first."""
