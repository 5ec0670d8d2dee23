"""Learned features of touch."""
