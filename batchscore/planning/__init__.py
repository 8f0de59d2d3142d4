"""The only TensorFlow graph code: analyse, split, export."""
