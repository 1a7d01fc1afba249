"""Trains a LoRA for a picture model on pictures with captions: ``marionext train --base``."""
