"""Verify an image with a pytest suite that runs against any image; save and load images."""
