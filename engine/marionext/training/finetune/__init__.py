"""Train a control network, and a chosen part of the UNet, on videos: ``marionext train``."""
