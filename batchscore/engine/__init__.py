"""A SavedModel run: sessions over TensorFlow's C library or its Python."""
