"""Rigid bodies that are pressed into the gel, as signed distance fields."""
