"""Training of ControlNeXt and of the built-in model."""
