"""What a command may be told: flags, keys, defaults, and what they may be."""
