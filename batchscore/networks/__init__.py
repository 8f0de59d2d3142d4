"""What is trained: the layers of the declared features, the ranking model, its tasks and its batches."""
