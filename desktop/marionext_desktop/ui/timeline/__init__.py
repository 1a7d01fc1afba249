"""The timeline: a painted sheet of clips, poses, sound and results over time."""
