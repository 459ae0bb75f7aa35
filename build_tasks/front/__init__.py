"""The front ends: nox sessions, invoke tasks, and the pre-commit hook."""
