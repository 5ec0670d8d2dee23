"""Comparison of simulated with real images and surfaces: metrics, pairing and limits."""
