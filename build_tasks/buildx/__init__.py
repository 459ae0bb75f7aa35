"""Drive buildx: every docker and buildx command line, one build, and its errors."""
