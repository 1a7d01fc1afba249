"""Frames, manifest and videos on disk."""
