"""Widgets that show the document; what can be tested without one is in `marionext_desktop.model`."""
