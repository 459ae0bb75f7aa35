"""The embedded engine: a Docker Engine, a registry and base images where there are none."""
