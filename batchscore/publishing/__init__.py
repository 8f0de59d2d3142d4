"""An output of a run, published whole or not at all, and the ones before it. Read `publish.py` first."""
