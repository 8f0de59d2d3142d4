"""Guards: limits that keep a ranking that is quietly wrong from being published. One file a subject.

READ FIRST: `guards.py`. A guard is a function from what is known to its `Verdict`.
"""
