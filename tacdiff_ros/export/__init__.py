"""Export of recorded runs and datasets to formats of other programs."""
