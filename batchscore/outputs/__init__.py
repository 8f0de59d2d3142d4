"""An output read back, and two of them compared."""
