"""What one sensor unit is."""
