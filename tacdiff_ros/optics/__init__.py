"""How light makes the tactile image."""
