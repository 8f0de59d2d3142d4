"""Columns of a training batch besides features and labels. No feature can have such a name."""

LIST = "batchscore/list"
"""The list that a row belongs to, int64 `[batch]`; if a task ranks lists. It ascends from 0, negatives apart."""

OBSERVED = "batchscore/observed"
"""1 for a row of the input and 0 for a negative that was drawn, float32 `[batch]`; if a task draws them."""
