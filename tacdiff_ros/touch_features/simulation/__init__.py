"""Simulated touches of random surfaces with random sensors."""
