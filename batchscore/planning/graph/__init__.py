"""The only TensorFlow graph code: analyse, split, export. `plan_model` is the way in; nothing is imported here."""
