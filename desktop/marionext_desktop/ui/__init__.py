"""Widgets that show the document; what needs none is in `marionext_desktop.model`."""
