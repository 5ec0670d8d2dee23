"""Local pages that show images, maps, surfaces, recordings, datasets and sensors."""
