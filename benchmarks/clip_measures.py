"""What a made clip is worth against the true drawing of the same figure: for both small models.

Clips are drawn as in training, from seeds that training leaves out: a character, a reference
picture, a dance. What was made of the reference and the dance's keypoints is held against the
drawing of the same dance:

* PSNR over all frames; of the face and of the hands: over the convex hulls of their keypoints, in
  the frames where they are seen;
* the lag at which the motion fits best: motion is what a clip's frames differ in from their mean
  over time; that of the made frames is correlated with that of true frames up to three earlier or
  later. Whoever follows the poses is best at lag 0. A clip whose true motion correlates with itself
  one frame later by more than 0.98 cannot tell (somebody stands still): it is left out of
  ``lag_0_share``, but counted in ``lag_0_share_all``;
* limb error: how far each limb of the made figure is from where it should be, found by searching
  the neighbourhood for the place that correlates best with the true limb's patch;
* colour error: mean difference of the colour around body joints, of 255, by part of the body;
* detail: mean difference of pixels side by side, as a part of the truth's: 1 is as crisp as drawn;
* flicker: mean difference of a frame and the next one, as a part of the truth's: 1 is as restless
  as the drawing;
* ``still``: the same difference, of 255, where the true figure barely moves: the pixels around it
  that change by 8 at most from one true frame to the next. What pops, shimmers or shifts there was
  not asked for. ``still_truth`` is the drawing's own. Differences are pooled: sums over all clips
  are divided, since a quiet clip's own quotient tells nothing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.training.figures.clips import HELD_OUT, Clip

__all__ = [
    "FIRST_SEED",
    "Change",
    "Measures",
    "colour_errors",
    "limb_errors",
    "mean",
    "measure",
    "summary",
]

FIRST_SEED = HELD_OUT + 1000
"""Neither trained on nor watched in training."""

LAGS = range(-3, 4)
STILL = 0.98
SEARCH = 16
"""How far a limb is searched for, in pixels of a picture 192 high: a twelfth of the height."""
PATCH = 8
"""Half the side of the patch around a joint, likewise."""
PARTS = {"head": (0,), "trunk": (1, 2, 5, 8, 11), "arms": (3, 4, 6, 7), "legs": (9, 10, 12, 13)}
"""Joints where colours are compared."""
JOINTS = (0, 3, 4, 6, 7, 9, 10, 12, 13)
"""Head, elbows, wrists, knees and ankles: where a wrong pose shows."""
FACE = np.r_[24:92, 0, 14:18]
HANDS = (slice(92, 113), slice(113, 134))
SEEN = 0.3
"""Mean score of a face's or a hand's points from which on it is compared."""
QUIET = 8
"""Largest change, of 255, of what stands still."""


@dataclass(frozen=True, slots=True)
class Change:
    """Absolute differences between a frame and the next, summed over some pixels."""

    made: float
    true: float
    pixels: int


@dataclass(frozen=True, slots=True)
class Measures:
    """What one clip measured."""

    psnr: float
    face: float
    """PSNR; nan where no face is seen in the whole clip, as for hands."""
    hands: float
    lag: int
    moves: bool
    """Whether the true motion can tell one lag from another."""
    limb_error: float
    """Pixels."""
    colours: dict[str, float]
    """Of each part of the body, of 255; a part that is never in the picture is left out."""
    detail: float
    """Made over true."""
    change: Change
    change_still: Change


def measure(made: NDArray[np.uint8], clip: Clip) -> Measures:
    """Compare (frames, h, w, 3), made of a clip's reference and poses, with its drawing."""
    truth = clip.frames[1:]
    error = np.square(made.astype(np.float32) - truth).mean(axis=-1)
    faces, hands = _regions(clip)
    everywhere, still = _changes(made, clip)
    return Measures(
        psnr=_psnr(error),
        face=_psnr(error[faces]),
        hands=_psnr(error[hands]),
        lag=best_lag(made, truth),
        moves=tells_lags(truth),
        limb_error=mean(limb_errors(made, clip)),
        colours=colour_errors(made, clip),
        detail=detail(made) / detail(truth),
        change=everywhere,
        change_still=still,
    )


def summary(clips: list[Measures], height: int) -> dict[str, float]:
    """Return the means over clips of one height, by name."""
    limbs = float(np.nanmean([clip.limb_error for clip in clips]))
    colours = {
        f"colour_{part}": mean([clip.colours[part] for clip in clips if part in clip.colours])
        for part in PARTS
    }
    everywhere = _pooled([clip.change for clip in clips])
    still = _pooled([clip.change_still for clip in clips])
    return {
        "psnr_db": mean([clip.psnr for clip in clips]),
        "face_db": _known_mean([clip.face for clip in clips]),
        "hands_db": _known_mean([clip.hands for clip in clips]),
        "lag_0_share": mean([float(clip.lag == 0) for clip in clips if clip.moves]),
        "lag_0_share_all": mean([float(clip.lag == 0) for clip in clips]),
        "clips_that_move": sum(clip.moves for clip in clips),
        "limb_error_px": limbs,
        "limb_error_of_height": limbs / height,
        **colours,
        "detail": mean([clip.detail for clip in clips]),
        "flicker": _quotient(everywhere.made, everywhere.true),
        "still": _quotient(still.made, still.pixels),
        "still_truth": _quotient(still.true, still.pixels),
    }


def mean(values: list[float]) -> float:
    """Return the mean; nan of nothing."""
    return float(np.mean(values)) if values else float("nan")


def _known_mean(values: list[float]) -> float:
    return mean([value for value in values if not np.isnan(value)])


def _pooled(changes: list[Change]) -> Change:
    return Change(
        sum(change.made for change in changes),
        sum(change.true for change in changes),
        sum(change.pixels for change in changes),
    )


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _psnr(error: NDArray[np.float32]) -> float:
    """Return the PSNR in dB of squared errors; nan of none."""
    if not error.size:
        return float("nan")
    return float(10 * np.log10(255**2 / max(float(error.mean(dtype=np.float64)), 1e-3)))


def _regions(clip: Clip) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where faces and hands are: both (frames, h, w), without the reference."""
    width, height = clip.size
    faces = np.zeros((len(clip.frames) - 1, height, width), np.uint8)
    hands = np.zeros_like(faces)
    for index, (points, scores) in enumerate(
        zip(clip.points[1:, 0], clip.scores[1:, 0], strict=True)
    ):
        for region, part in ((faces, FACE), (hands, HANDS[0]), (hands, HANDS[1])):
            if scores[part].mean() > SEEN:
                hull = cv2.convexHull(np.round(points[part]).astype(np.int32))
                cv2.fillConvexPoly(region[index], hull, 1)
    return faces > 0, hands > 0


def _changes(made: NDArray[np.uint8], clip: Clip) -> tuple[Change, ...]:
    """Return what changes from frame to frame: everywhere, and where the figure stands still."""
    shown, true = (
        np.abs(np.diff(frames.astype(np.int16), axis=0)) for frames in (made, clip.frames[1:])
    )
    still = (true.max(axis=-1) <= QUIET) & _surroundings(clip)
    return tuple(
        Change(float(shown[place].sum()) / 3, float(true[place].sum()) / 3, int(place.sum()))
        for place in (np.ones_like(still), still)
    )


def _surroundings(clip: Clip) -> NDArray[np.bool_]:
    """Return the box around the body in each frame but the last: (frames - 1, h, w)."""
    width, height = clip.size
    rows, columns = np.mgrid[:height, :width]
    body = clip.points[1:-1, 0, :18]
    low, high = body.min(axis=1) - height / 24, body.max(axis=1) + height / 24
    inside = [
        (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
        for (left, top), (right, bottom) in zip(low, high, strict=True)
    ]
    return np.stack(inside)


def motion_at(frames: NDArray[np.uint8], lag: int) -> NDArray[np.float32]:
    """Return how the inner frames, ``lag`` frames later, differ from their mean over time."""
    margin = max(LAGS)
    part = frames[margin + lag : len(frames) - margin + lag].astype(np.float32)
    return part - part.mean(axis=0)


def correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Return how alike two motions are, -1 to 1; 0 where one of them stands still."""
    size = float(np.sqrt(np.square(one).sum() * np.square(two).sum()))
    return float((one * two).sum()) / size if size else 0.0


def best_lag(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> int:
    """Return the shift of the true motion that fits the rendered one best."""
    inner = motion_at(made, 0)
    alike = {lag: correlation(inner, motion_at(truth, lag)) for lag in LAGS}
    return max(alike, key=lambda lag: (alike[lag], -abs(lag)))


def tells_lags(truth: NDArray[np.uint8]) -> bool:
    """Tell whether a shift by one frame shows in the true motion at all."""
    return correlation(motion_at(truth, 0), motion_at(truth, 1)) < STILL


def limb_errors(made: NDArray[np.uint8], clip: Clip) -> list[float]:
    """Return how far each visible joint's surroundings are from their place, in pixels."""
    width, height = clip.size
    search, half = (round(value * height / 192) for value in (SEARCH, PATCH))
    rows, columns = np.mgrid[-search : search + 1, -search : search + 1]
    distance = np.hypot(rows, columns)
    errors = []
    truth = clip.frames[1:]
    for index in range(len(made)):
        for joint in JOINTS:
            x, y = (round(float(value)) for value in clip.points[index + 1, 0, joint])
            reach = half + search
            if not (half <= x < width - half and half <= y < height - half):
                continue
            patch = truth[index, y - half : y + half + 1, x - half : x + half + 1]
            if patch.std(axis=(0, 1)).max() < 12:
                continue  # nothing to see there: hidden before a body of one colour
            # What lies beyond the picture's edge matches nothing.
            wide = cv2.copyMakeBorder(made[index], *(search,) * 4, cv2.BORDER_REPLICATE)
            left, top = x + search - reach, y + search - reach
            around = wide[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
            alike = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED)
            # Among equally good places the nearest counts.
            errors.append(float(distance[alike >= alike.max() - 0.01].min()))
    return errors


def colour_errors(made: NDArray[np.uint8], clip: Clip) -> dict[str, float]:
    """Return the mean difference of colours close to the joints of each part, of 255."""
    width, height = clip.size
    found: dict[str, float] = {}
    for part, joints in PARTS.items():
        differences = []
        for index in range(len(made)):
            for x, y in clip.points[index + 1, 0, list(joints)]:
                if 2 <= x < width - 2 and 2 <= y < height - 2:
                    box = np.s_[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
                    pair = (made[index][box], clip.frames[index + 1][box])
                    one, two = (pixels.reshape(-1, 3).mean(axis=0) for pixels in pair)
                    differences.append(float(np.abs(one - two).mean()))
        if differences:
            found[part] = float(np.mean(differences))
    return found


def detail(frames: NDArray[np.uint8]) -> float:
    """Return how much neighbours in a row of pixels differ on the mean, of 255."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=2)).mean())
