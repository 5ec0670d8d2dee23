"""The gel under contact."""
