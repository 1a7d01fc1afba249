"""The inspector: what is chosen, what looks wrong, who it is laid over, how it is rendered."""
