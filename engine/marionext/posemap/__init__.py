"""The drawn control image of a pose."""
