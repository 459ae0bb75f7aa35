"""Run several builds at once: with a limit, with retries, and without stopping at a failure."""
