"""Images of the sensor: read, cropped, checked and masked."""
