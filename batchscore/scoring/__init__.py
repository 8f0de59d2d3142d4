"""The nightly run. Read `run.py` first; the stages do not know one another."""
