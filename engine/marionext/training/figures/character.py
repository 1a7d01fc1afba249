"""Draw the demo's character: a figure of our own, standing at ease, arms a little away."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from marionext.files import write_bytes
from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats.native import write_native
from marionext.pose.skeleton import POINT_COUNT
from marionext.training.figures.bodies import Build
from marionext.training.figures.clips import Figure, Look, draw_pictures
from marionext.training.figures.scenery import Scene
from marionext.training.figures.steps import Steps, pose_figure
from marionext.training.figures.viewpoints import Viewpoint, on_picture

__all__ = ["HERO", "draw_character", "standing"]

HERO = Figure(
    build=Build(
        trunk=0.285,
        shoulder=0.108,
        hip=0.06,
        upper_arm=0.165,
        forearm=0.15,
        thigh=0.232,
        shin=0.222,
        neck=0.125,
        head=0.083,
        hand=0.1,
        foot=0.115,
    ),
    look=Look(
        skin=(236, 190, 158),
        hair=(92, 48, 26),
        top=(222, 62, 52),
        sleeve=(248, 200, 64),
        legs=(38, 74, 150),
        shoes=(245, 245, 240),
        eyes=(58, 104, 150),
        sleeves=2.0,
        trousers=2.0,
        skirt=0.0,
        hair_style="short",
        belt=True,
        pattern="emblem",
        accent=(248, 200, 64),
        eye_size=1.65,
        waist=0.9,
        parting=0.6,
        thickness=0.054,
        scene=Scene("plain", ((178, 216, 222), (206, 232, 226), (150, 128, 108)), 0.84, 0),
    ),
)
"""The character of the demo. No training clip shows it: its look is not a random one."""


def standing() -> Steps:
    """Return the steps of one frame: facing the viewer, at ease."""
    none, pair = np.zeros(1, np.float32), np.zeros((1, 2), np.float32)
    return Steps(
        turn=none,
        wring=none,
        lean=none,
        bend=none,
        head_turn=none,
        head_tilt=none,
        raise_=pair + 0.4,
        swing=pair,
        elbow=pair + 0.15,
        elbow_turn=pair,
        spread=pair + 0.1,
        kick=pair,
        knee=pair,
        twist=pair + 0.4,
        fingers=np.full((1, 2, 5), 0.9, np.float32),
        mouth=none + 0.2,
        smile=none + 0.8,
        blink=none,
        shift=pair,
    )


def draw_character(path: Path, size: tuple[int, int] = (512, 768)) -> None:
    """Draw the character to a PNG file, and write its pose beside it (``.pose.npz``)."""
    body = pose_figure(HERO.build, standing())
    viewpoint = Viewpoint(0.8, (0.5, 0.53))
    points, _ = on_picture(body, viewpoint, size)
    picture = next(draw_pictures(HERO, body, viewpoint, size))
    write_bytes(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    track = PoseTrack(
        points=points[:, None, :POINT_COUNT],
        scores=np.ones((1, 1, POINT_COUNT), np.float32),
        size=size,
        rate=FrameRate(Fraction(1)),
    )
    write_native(track, path.with_suffix(".pose.npz"))
