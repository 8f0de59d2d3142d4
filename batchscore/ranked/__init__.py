"""What a run publishes, read again: nothing about it is believed before it is looked at."""
