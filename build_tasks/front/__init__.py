"""What nox, invoke, the console and pre-commit start."""
