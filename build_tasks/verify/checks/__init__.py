"""The checks, a suite of pytest."""
