"""Frozen values that the other layers share."""
