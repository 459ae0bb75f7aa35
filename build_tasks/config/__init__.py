"""images.toml, the environment and options become typed settings."""
