"""From one tactile image to the deformed gel surface."""
