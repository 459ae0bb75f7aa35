"""Dedicated builders, which hold a cache of their own."""
