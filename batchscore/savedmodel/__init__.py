"""A SavedModel read from its bytes: nothing here loads TensorFlow."""
