"""Optical model of the sensor: from a gel surface to the tactile image and its gradients."""
