"""From digests of one platform each to one tag."""
