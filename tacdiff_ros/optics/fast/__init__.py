"""Fast renderer of tactile images without gradients, in compiled loops on the processor."""
