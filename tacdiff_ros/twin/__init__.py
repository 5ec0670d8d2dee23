"""The calibrated sensor beside the real one: what it should see now."""
