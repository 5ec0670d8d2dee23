"""Learned features of touch: data sets of touches and the networks that are trained with them."""
