"""Datasets of simulated touches: planning, simulation, rendering, storage and reading."""
