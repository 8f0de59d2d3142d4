"""The one environment variable that is a setting."""

MODEL_ENVIRONMENT = "BATCHSCORE_MODEL"
"""The model of `run`, where neither a flag nor a TOML file says."""
