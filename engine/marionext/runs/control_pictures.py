"""Control pictures: what a rig, a video or a picture says about a pose, edges, depth or outline.

Each comes to the size of the result, and whatever is cut off, added or guessed on the way is said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext import capture
from marionext.backends.pictures.families import nearest_bucket, rounded
from marionext.casting import pose_beside
from marionext.character import Character, crop_geometry, read_character
from marionext.errors import CharacterError, MotionError, SettingsError
from marionext.frames import FrameRange
from marionext.jobs import PictureControl, PictureJob, PoseSettings
from marionext.motion import MOTION_SUFFIXES
from marionext.pose import PoseTrack, select
from marionext.pose.formats import read_track
from marionext.posemap import SmallDrawer, is_pose_map
from marionext.posemap.recognise import recognise_palette
from marionext.reporting import Reporter
from marionext.sources import OpenMotion, open_motion
from marionext.staging import cropped_pose

__all__ = ["ControlSource", "fitted", "picture_size"]

Palette = Literal["controlnext", "openpose"]
Fit = Literal["cut", "whole"]

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_NO_VIDEO = MOTION_SUFFIXES | {".json", ".npz", ".fbx", ".blend"}
_SAME_SHAPE = 0.01
"""Difference of two aspects, in logarithms, that nobody sees."""
_MOST_CUT = 0.5
"""Part of a control picture that may be cut off without being asked for."""
_TWO_VALUED = 0.98
"""Part of the pixels of an edge map or mask that are black or white at least."""
_NEAR = 24
"""How far from black or white a pixel may be after compression."""
_SURE = 0.5
"""From which likelihood on a pixel is the figure."""


@dataclass
class ControlSource:
    """Where the control picture of one control comes from, opened once.

    Args:
        control: as the job has it.
        report: told what was guessed, cut off or found.

    Raises:
        MotionError, CharacterError: nothing is there that could be read.
    """

    control: PictureControl
    report: Reporter
    _kept: tuple[tuple[int, int], PoseTrack] | None = field(default=None, init=False)
    _fitted: dict[tuple[int, int], PoseTrack] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.control.kind} control {self.path.name}"

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.control.source.path)

    @property
    def is_picture(self) -> bool:
        """Whether the source is one picture and not a motion."""
        if self.control.source.kind != "auto":
            return self.control.source.kind == "picture"
        return self.path.suffix.lower() in _PICTURES and self.control.frame is None

    @cached_property
    def picture(self) -> Character:
        """The picture, upright and opaque; of a video that of the frame."""
        if not self.is_picture:
            self.motion.tell(self.report)
            return Character(self.motion.picture(self.frame), ())
        read = read_character(self.path, what=f"the {self.name}")
        if self.control.frame is not None:
            raise SettingsError(f"{self.name}: a picture has no frames, got @{self.control.frame}")
        return read

    @cached_property
    def motion(self) -> OpenMotion:
        """The motion, opened."""
        source = self.control.source
        if self.control.kind != "pose" and source.kind == "auto" and self._may_be_video:
            # On black ground it would be taken for pose maps, which nobody wants edges of.
            source = replace(source, kind="video")
        return open_motion(source)

    @property
    def _may_be_video(self) -> bool:
        return self.path.is_file() and self.path.suffix.lower() not in _NO_VIDEO

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """What the control picture depends on."""
        if not self.is_picture:
            return (*self.motion.files, *self.motion.presets)
        beside = pose_beside(self.path) if self.control.kind == "pose" else None
        return (self.path,) if beside is None else (self.path, beside)

    @cached_property
    def frame(self) -> int:
        """Number of the motion's frame.

        Raises:
            MotionError: the motion has no such frame.
        """
        frames = self.motion.frames
        number = frames.start if self.control.frame is None else self.control.frame
        if number not in frames:
            raise MotionError(f"{self.name}: expected a frame within {frames}, got {number}")
        return number

    @property
    def shape(self) -> tuple[int, int] | None:
        """Width and height of the source, by which the result's shape is chosen; None: any."""
        if self.is_picture:
            height, width = self.picture.pixels.shape[:2]
            return width, height
        if self.motion.kind == "rig":
            return None
        if self.motion.kind == "video" and self.control.kind != "pose":
            height, width = self.picture.pixels.shape[:2]
            return width, height
        maps = self.motion.maps()
        return self._poses((576, 1024)).size if maps is None else maps.size

    def draw(self, size: tuple[int, int], palette: Palette) -> NDArray[np.uint8]:
        """Return the control picture, (height, width, 3) RGB.

        Args:
            size: width and height.
            palette: colours of pose maps that the weights were trained on.

        Raises:
            MotionError, CharacterError: it cannot be made of this source.
            ModelError: a network that finds something in pictures is not on this machine.
        """
        draw: Callable[[tuple[int, int]], NDArray[np.uint8]] = {
            "pose": lambda wanted: self._pose(wanted, palette),
            "canny": self._edges,
            "depth": self._depth,
            "mask": self._mask,
            "lowres": lambda wanted: self._bring(self.picture.pixels, wanted, smooth=True),
            "other": lambda wanted: self._bring(self.picture.pixels, wanted),
        }[self.control.kind]
        if self.is_picture:
            for note in self.picture.notes:
                self.report.log(note)
        return draw(size)

    def _bring(
        self, pixels: NDArray[np.uint8], size: tuple[int, int], *, smooth: bool = False
    ) -> NDArray[np.uint8]:
        return fitted(pixels, size, self.control.fit, self.name, self.report, smooth=smooth)

    def _ready(self, looks_ready: bool, what: str) -> bool:
        """Tell whether the picture is the control picture already; a guess is said."""
        if self.control.ready != "auto":
            return self.control.ready == "yes"
        if looks_ready:
            self.report.log(f"{self.name}: taken as {what} already (ready=no looks at it anew)")
        return looks_ready

    def _pose(self, size: tuple[int, int], palette: Palette) -> NDArray[np.uint8]:
        if self.is_picture:
            pixels = self.picture.pixels
            if self._ready(is_pose_map(pixels), "a pose map"):
                return self._recoloured(self._bring(pixels, size), pixels, palette)
        elif (maps := self.motion.maps()) is not None:
            self.motion.tell(self.report)
            return _in_palette(self._bring(maps.frame(self.frame), size), palette)
        track = self.track(size)
        drawn = SmallDrawer(size).draw(track.points[0], track.scores[0], size)
        return _in_palette(drawn, palette)

    def known_track(self, size: tuple[int, int]) -> PoseTrack | None:
        """Return the pose as `track` does, or None where the control picture was drawn already."""
        return self._fitted.get(size)

    def track(self, size: tuple[int, int]) -> PoseTrack:
        """Return the pose, a track of one frame in a picture of that size.

        Raises:
            MotionError: nobody is there, or the source is drawn pose maps.
        """
        if size in self._fitted:
            return self._fitted[size]
        track = self._pose_in_picture() if self.is_picture else self._poses(size)
        if not (track.scores > 0).any():
            where = "in this picture" if self.is_picture else f"in frame {self.frame}"
            raise MotionError(
                f"{self.name}: expected somebody, nobody is found {where}",
                hint="Choose another frame, or a camera that sees the figure (--camera frame).",
            )
        if track.size != size:
            if self.control.fit == "cut":
                _refuse_far(track.size, size, self.name)
            _say_cut(track.size, size, self.name, self.report, fit=self.control.fit)
            inside = self.control.fit == "whole"
            track = _whole_pose(track, size) if inside else cropped_pose(track, size)
        self._fitted[size] = track
        return track

    def _recoloured(
        self, drawn: NDArray[np.uint8], whole: NDArray[np.uint8], palette: Palette
    ) -> NDArray[np.uint8]:
        """Give a ready-made pose map the colours that the weights were trained on."""
        given = self.control.source.palette
        if given == "any":
            return drawn
        found = recognise_palette([whole]) if given == "auto" else given
        if found is None:
            self.report.log(
                f"{self.name}: its colours do not tell which palette they are of; taken as they "
                "are (palette=openpose or controlnext says it)",
                warning=True,
            )
            return drawn
        if found == palette:
            return drawn
        self.report.log(f"{self.name}: drawn in {found}'s colours, turned into {palette}'s")
        return np.ascontiguousarray(drawn[..., ::-1])

    def _pose_in_picture(self) -> PoseTrack:
        beside = pose_beside(self.path)
        if beside is not None:
            return read_track(beside)
        return capture.detect_picture(self.picture.pixels, detector=self.control.source.detector)

    def _poses(self, size: tuple[int, int]) -> PoseTrack:
        """Return the pose of the frame, a track of one frame."""
        if self._kept is None or (self.motion.kind == "rig" and self._kept[0] != size):
            span = FrameRange(self.frame, self.frame + 1)
            track = self.motion.poses(
                PoseSettings(fit="none"), size, self.report, frames=span, alone=True
            )
            self._kept = (size, select(track, (self.frame,)))
        return self._kept[1]

    def _edges(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        import cv2

        pixels = self.picture.pixels
        shown = self._bring(pixels, size)
        if self._ready(_is_grey(pixels) and _is_two_valued(pixels), "a map of edges"):
            return shown
        found = cv2.Canny(shown, self.control.low, self.control.high)
        part = float((found > 0).mean())
        if part == 0:
            raise CharacterError(
                f"{self.name}: no edges are found between the thresholds {self.control.low} and "
                f"{self.control.high}",
                hint="Lower them: --control canny=FILE,low=20,high=60.",
            )
        self.report.log(f"{self.name}: {part:.1%} of the picture are edges")
        return np.repeat(np.asarray(found, np.uint8)[..., None], 3, axis=2)

    def _depth(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self._has_surface:
            return _as_picture(self.motion.surface(self.frame, size).depth)
        pixels = self.picture.pixels
        shown = self._bring(pixels, size, smooth=True)
        if self._ready(_is_grey(pixels), "a map of depth"):
            return shown
        if self.control.estimator is None:
            raise CharacterError(
                f"{self.name}: depth has to be known, and this picture is none",
                hint="Give a depth map (near is white), a rig's file with a mesh, or the folder of "
                "a transformers depth model: depth=FILE,estimator=FOLDER.",
            )
        from marionext.backends.pictures.estimating import estimate_depth  # noqa: PLC0415 - torch

        return _as_picture(estimate_depth(shown, Path(self.control.estimator)))

    @property
    def _has_surface(self) -> bool:
        """Whether depth and outline are those of a mesh, and not of something in a picture."""
        if self.is_picture or self.motion.kind == "video":
            return False
        self.motion.tell(self.report)
        return True

    def _mask(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self._has_surface:
            return _as_picture(self.motion.surface(self.frame, size).mask)
        read = self.picture
        if read.mask is not None and self.control.ready != "yes":
            self.report.log(f"{self.name}: the figure is what is opaque")
            return self._bring(np.repeat(read.mask[..., None], 3, axis=2), size)
        shown = self._bring(read.pixels, size)
        if self._ready(_is_grey(read.pixels) and _is_two_valued(read.pixels), "a mask"):
            return shown
        if self.control.estimator is not None:
            from marionext.backends.pictures.estimating import (  # noqa: PLC0415 - torch
                segment_figure,
            )

            return _as_picture(segment_figure(shown, Path(self.control.estimator)))
        from marionext.capture.segmentation import segment_person  # noqa: PLC0415 - a detector

        likely = segment_person(shown)
        if likely is None:
            raise CharacterError(
                f"{self.name}: nobody is found in this picture",
                hint="Give a mask (white on black), or a picture that is transparent around the "
                "figure.",
            )
        return _as_picture((likely > _SURE).astype(np.float32))


def picture_size(
    job: PictureJob,
    own: tuple[int, int],
    step: int,
    controls: Sequence[ControlSource],
    report: Reporter,
) -> tuple[int, int]:
    """Return width and height of a job's pictures; what is chosen or rounded is said.

    Args:
        job: that may say a size.
        own: width and height that the base was trained at.
        step: what width and height are multiples of.
        controls: of the job; the first one's shape counts.
        report: told.
    """
    if job.size is not None:
        size = rounded(job.size, step)
        if size != job.size:
            report.log(
                f"{job.size[0]}x{job.size[1]} is rounded to {size[0]}x{size[1]}: "
                f"the model wants multiples of {step}"
            )
        return size
    if not controls or own[0] != own[1]:
        size, why = rounded(own, step), "the base's own size"
    else:
        shape = controls[0].shape or (2, 3)  # a figure stands upright
        size = rounded(nearest_bucket(own[0], shape), step)
        why = f"the size nearest to {controls[0].name}"
    report.log(f"{size[0]}x{size[1]}: {why} (--size says another)")
    return size


def fitted(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    fit: Fit,
    name: str,
    report: Reporter,
    *,
    smooth: bool = False,
) -> NDArray[np.uint8]:
    """Bring a picture to a size, and say what that cuts off or adds.

    Args:
        pixels: (h, w, 3).
        size: width and height wanted.
        fit: ``cut``: its middle; ``whole``: all of it on black.
        name: what it is, for messages.
        report: told.
        smooth: whether it is enlarged by curves and not by straight lines.

    Raises:
        CharacterError: more than half of it would be cut off.
    """
    import cv2

    own = pixels.shape[1], pixels.shape[0]
    if own == size:
        return pixels
    if fit == "cut":
        _refuse_far(own, size, name)
        (width, height), (left, top) = crop_geometry(*own, size)
    else:
        scale = min(size[0] / own[0], size[1] / own[1])
        width, height = (
            min(max(1, round(side * scale)), limit) for side, limit in zip(own, size, strict=True)
        )
    grows = width > own[0]
    method = cv2.INTER_AREA if not grows else cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)
    _say_cut(own, size, name, report, fit=fit)
    if fit == "cut":
        return np.ascontiguousarray(resized[top : top + size[1], left : left + size[0]])
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    whole[top : top + height, left : left + width] = resized
    return whole


def _whole_pose(track: PoseTrack, size: tuple[int, int]) -> PoseTrack:
    """Bring a pose to a picture of another shape, all of its own in the middle."""
    own, wanted = np.array(track.size, np.float32), np.array(size, np.float32)
    scale = float((wanted / own).min())
    points = track.points * scale + (wanted - own * scale) / 2
    return track.with_(points=points, size=size)


def _lost(own: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the part of a picture that is cut off where it has to cover another shape."""
    here, there = own[0] / own[1], size[0] / size[1]
    return 1 - min(here, there) / max(here, there)


def _refuse_far(own: tuple[int, int], size: tuple[int, int], name: str) -> None:
    lost = _lost(own, size)
    if lost > _MOST_CUT:
        raise CharacterError(
            f"{name}: expected a shape like {size[0]}x{size[1]}, it is {own[0]}x{own[1]}: "
            f"{lost:.0%} of it would be cut off",
            hint="Choose a size of its shape (--size), or show all of it on black: fit=whole.",
        )


def _say_cut(
    own: tuple[int, int], size: tuple[int, int], name: str, report: Reporter, fit: Fit = "cut"
) -> None:
    text = f"{name}: {own[0]}x{own[1]} brought to {size[0]}x{size[1]}"
    lost = _lost(own, size)
    if lost <= _SAME_SHAPE:
        report.log(text)
    elif fit == "whole":
        report.log(f"{text}, all of it, on black")
    else:
        side = "left and right" if own[0] / own[1] > size[0] / size[1] else "top and bottom"
        report.log(f"{text}; {lost:.0%} of it are cut off at {side} (fit=whole keeps all)")


def _in_palette(drawn: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """Return a pose map of our drawing in the colours that are wanted: red and blue exchanged."""
    return drawn if palette == "controlnext" else np.ascontiguousarray(drawn[..., ::-1])


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    values = pixels.astype(np.int16)
    return bool((values.max(axis=2) - values.min(axis=2)).max() <= _NEAR)


def _is_two_valued(pixels: NDArray[np.uint8]) -> bool:
    grey = pixels.max(axis=2)
    black, white = grey < _NEAR, grey > 255 - _NEAR
    return bool(black.any() and white.any()) and float((black | white).mean()) >= _TWO_VALUED


def _as_picture(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (height, width) from 0 to 1 as a grey picture."""
    grey = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
