"""Models on disk: reading, writing and loading them."""
