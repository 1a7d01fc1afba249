"""2-D poses: pixels, numpy only, no files but pose formats."""

from marionext.pose.cleanup import Cleaned, CleanUp, Finding, clean
from marionext.pose.edit import apply, apply_at, mirror
from marionext.pose.fit import Fit, FitMode, FitReport, fit, fit_limbs, fit_linear, fit_pose
from marionext.pose.measure import empty_frames, person_boxes, person_sizes, small_parts
from marionext.pose.people import Who, choose_person, choose_track, keep_identities, link_boxes
from marionext.pose.resample import resample, resampled_count, select, trim
from marionext.pose.track import Origin, PoseTrack
from marionext.pose.wholebody import from_whole_body, to_whole_body

__all__ = [
    "CleanUp",
    "Cleaned",
    "Finding",
    "Fit",
    "FitMode",
    "FitReport",
    "Origin",
    "PoseTrack",
    "Who",
    "apply",
    "apply_at",
    "choose_person",
    "choose_track",
    "clean",
    "empty_frames",
    "fit",
    "fit_limbs",
    "fit_linear",
    "fit_pose",
    "from_whole_body",
    "keep_identities",
    "link_boxes",
    "mirror",
    "person_boxes",
    "person_sizes",
    "resample",
    "resampled_count",
    "select",
    "small_parts",
    "to_whole_body",
    "trim",
]
