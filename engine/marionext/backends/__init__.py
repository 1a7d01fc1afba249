"""The ways to make frames, one folder for each architecture."""
