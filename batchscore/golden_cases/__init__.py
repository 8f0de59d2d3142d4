"""Golden cases: what a run must publish, as folders that need no Python. Read `runner.py` first."""
