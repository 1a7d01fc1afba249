"""The desktop editor: videos and motion files in, character videos out, on a timeline."""
