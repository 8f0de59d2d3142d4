"""Parquet files and folders of them, told from tables that keep a log."""
