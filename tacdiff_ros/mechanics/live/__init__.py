"""Gel model that keeps up with streamed poses: linear layer, exact contact, fitted correction."""
