"""Pose tracks from video."""
