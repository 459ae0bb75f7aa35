"""Disk usage and pruning, local and in registries."""
