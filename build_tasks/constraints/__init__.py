"""The versions that images install."""
