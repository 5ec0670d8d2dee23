"""Reading, cropping, checking and masking of sensor images."""
