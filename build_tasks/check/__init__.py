"""Check whether an image is up to date."""
