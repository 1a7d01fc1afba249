"""The paper doll: a character's own picture, bent to each pose, its seams mended by a network."""
