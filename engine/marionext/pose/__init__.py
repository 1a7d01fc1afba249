"""2-D poses: pixels, numpy only, no files but pose formats."""

from marionext.pose.cleanup import CleanUp, clean
from marionext.pose.edit import hide, hold, mirror, offset, set_points
from marionext.pose.fit import Fit, FitMode, FitReport, fit, fit_limbs, fit_linear
from marionext.pose.measure import person_boxes, person_sizes, small_parts
from marionext.pose.people import Who, choose_person, choose_track, keep_identities, link_boxes
from marionext.pose.resample import resample, resampled_count, select, trim
from marionext.pose.track import PoseTrack
from marionext.pose.wholebody import from_whole_body, to_whole_body

__all__ = [
    "CleanUp",
    "Fit",
    "FitMode",
    "FitReport",
    "PoseTrack",
    "Who",
    "choose_person",
    "choose_track",
    "clean",
    "fit",
    "fit_limbs",
    "fit_linear",
    "from_whole_body",
    "hide",
    "hold",
    "keep_identities",
    "link_boxes",
    "mirror",
    "offset",
    "person_boxes",
    "person_sizes",
    "resample",
    "resampled_count",
    "select",
    "set_points",
    "small_parts",
    "to_whole_body",
    "trim",
]
