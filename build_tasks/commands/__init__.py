"""The verbs: each reads its options, calls one feature and prints the result."""
