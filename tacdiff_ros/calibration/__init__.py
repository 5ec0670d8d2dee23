"""From images to the sensor unit."""
