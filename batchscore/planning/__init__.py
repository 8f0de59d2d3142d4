"""Plans: what is computed once for each distinct input, found, kept and loaded without TensorFlow's Python."""
