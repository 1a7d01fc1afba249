"""Keypoints from videos and pictures: body, both hands and face, in every frame."""

from marionext.capture.extract import DETECTORS, detect_picture, extract_track
from marionext.capture.follow import Choice
from marionext.capture.video import FIRST_FRAME, VideoFrame, VideoInfo, probe, read_frames

__all__ = [
    "DETECTORS",
    "FIRST_FRAME",
    "Choice",
    "VideoFrame",
    "VideoInfo",
    "detect_picture",
    "extract_track",
    "probe",
    "read_frames",
]
