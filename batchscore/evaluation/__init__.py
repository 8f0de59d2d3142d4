"""How good ranked lists and predictions are, and how sure that is. Knows no model and no TensorFlow."""
