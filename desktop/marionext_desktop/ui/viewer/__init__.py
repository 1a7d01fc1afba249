"""The viewer: source, pose and result of one frame, and the hands that move joints."""
