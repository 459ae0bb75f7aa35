"""Options and settings: the table, and values from images.toml, variables and options."""
