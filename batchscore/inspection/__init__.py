"""What a model is and what a run would make of it."""
