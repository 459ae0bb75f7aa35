"""Displays of running builds; a single build on a terminal has BuildKit's own display."""
