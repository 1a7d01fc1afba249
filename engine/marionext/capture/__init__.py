"""Keypoints from videos and pictures: body, both hands and face, in every frame."""

from marionext.capture.extract import DETECTORS, detect_picture, extract_track
from marionext.capture.follow import Choice
from marionext.capture.segmentation import segment_person

__all__ = ["DETECTORS", "Choice", "detect_picture", "extract_track", "segment_person"]
