"""Many builds at once: bounded, keeping going, repeating what the world broke."""
