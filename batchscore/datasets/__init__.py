"""Data to try batchscore on: MovieLens archives and a synthetic sample."""
