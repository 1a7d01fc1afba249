"""Trains what mends the doll's warp, on dolls of drawn figures (``... doll`` of the commands)."""
