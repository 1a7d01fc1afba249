"""Pass 2: body, hands and face of one person in one picture, each on a crop of its own."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from marionext.capture.boxes import overlap, seen_box
from marionext.capture.crops import cut_square
from marionext.capture.landmarkers import (
    FaceLandmarker,
    HandLandmarker,
    HandTracker,
)

__all__ = ["HandFinder", "find_face", "one_hand_only", "place_body"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_BODY_MARGIN = 1.45
_BODY_PIXELS = 640
_AGREEMENT = 0.3
"""Least overlap of a body with the box in which it is looked for: less is somebody else."""

_HAND_PIXELS = 384
_HAND_CROPS = (1.2, 1.5, 0.95)
"""Side of the crops that a hand is looked for in, in shoulder widths."""
_BEYOND_WRIST = 0.9
"""The crop's centre, on the way from the wrist to the knuckles and on."""
_NEAR = 0.12
"""A hand whose wrist is this near to the body's wrist (in shoulder widths) is accepted at once."""
_FARTHEST = 0.4
"""One that is further away is none of this arm, or not a hand."""
_WRONG_LABEL = 0.25
_OTHER_WRIST = 0.3
_SAME_HAND = 0.25
"""Two hands nearer than this part of their size are one hand, found twice."""

_FACE_PIXELS = 384
_FACE_CROP = 2.6
"""Side of the face's crop in ear distances."""
_LEAST_EARS = 0.35
"""Ears nearer than this (in shoulder widths) belong to a head seen from the side."""

_NOSE, _LEFT_EAR, _RIGHT_EAR = 0, 7, 8
_SHOULDERS, _HIPS = (11, 12), (23, 24)
_LEFT_WRIST, _RIGHT_WRIST = 15, 16
_MIDDLE_TIP = 12


class BodyDetector(Protocol):
    """What a `BodyLandmarker` does."""

    def detect(self, picture: Picture, /) -> list[Floats]:
        """Return for each person (33, 3): x, y in pixels and visibility."""


def place_body(
    picture: Picture, box: Floats, landmarker: BodyDetector, crowd: BodyDetector | None
) -> Floats | None:
    """Place the joints of the person in a box.

    Args:
        picture: (height, width, 3), RGB.
        box: where the person is: left, top, right, bottom.
        landmarker: set up for one person.
        crowd: set up for several, asked when the one found is somebody else; None where there
            is only one person.

    Returns:
        (33, 3): x, y in pixels of the picture, and visibility; None when the person is not seen.
    """
    height, width = picture.shape[:2]
    centre = (box[:2] + box[2:]) / 2
    crop = cut_square(picture, centre, _BODY_MARGIN * max(box[2:] - box[:2]), _BODY_PIXELS)

    def best(bodies: list[Floats]) -> Floats | None:
        rated = [
            (overlap(found, box), number)
            for number, body in enumerate(bodies)
            if (found := seen_box(body, (width, height))) is not None
        ]
        agreement, number = max(rated, default=(0.0, -1))
        return bodies[number] if agreement >= _AGREEMENT else None

    body = best([crop.to_picture(body) for body in landmarker.detect(crop.picture)])
    if body is None and crowd is not None:
        body = best([crop.to_picture(body) for body in crowd.detect(crop.picture)])
    return body if body is not None else best((crowd or landmarker).detect(picture))


class HandFinder:
    """Finds one hand of one person, frame after frame."""

    def __init__(
        self, *, left: bool, searcher: HandLandmarker, tracker: HandTracker | None
    ) -> None:
        """Remember the side.

        Args:
            left: the person's left hand, else the right.
            searcher: for single pictures, two hands.
            tracker: follows the hand through a video; None for a single picture.
        """
        self._left = left
        self._searcher = searcher
        self._tracker = tracker
        self._wrist, self._other = (
            (_LEFT_WRIST, _RIGHT_WRIST) if left else (_RIGHT_WRIST, _LEFT_WRIST)
        )

    def find(self, picture: Picture, body: Floats) -> Floats | None:
        """Return the hand's (21, 2) in pixels of the picture, or None when it is not found.

        Args:
            picture: (height, width, 3), RGB.
            body: (33, 3), from `place_body`.
        """
        unit = _shoulder_width(body)
        wrist, other = body[self._wrist, :2], body[self._other, :2]
        knuckles = body[[self._wrist + 2, self._wrist + 4], :2].mean(0)
        centre = wrist + _BEYOND_WRIST * (knuckles - wrist)
        height, width = picture.shape[:2]
        beyond = np.maximum(-centre, centre - (width, height)).max()
        if beyond > _HAND_CROPS[0] * unit / 2:
            return None

        crops: tuple[float, ...] = _HAND_CROPS
        if self._tracker is not None:
            crop = cut_square(picture, centre, crops[0] * unit, _HAND_PIXELS)
            tracked = self._tracker.follow(crop.picture)
            if tracked is None:
                # It has just searched this crop for palms itself.
                crops = _HAND_CROPS[1:]
            else:
                hand = crop.to_picture(tracked)
                distance = np.linalg.norm(hand[0] - wrist)
                if distance < _NEAR * unit and distance <= np.linalg.norm(hand[0] - other):
                    return hand
                self._tracker.forget()
        found = self._search(picture, centre, (wrist, other), unit, crops)
        return None if found is None else _on_wrist(found, wrist, _NEAR * unit)

    def _search(
        self,
        picture: Picture,
        centre: Floats,
        wrists: tuple[Floats, Floats],
        unit: float,
        crops: tuple[float, ...],
    ) -> Floats | None:
        """Look at single crops and take the hand that fits this wrist best."""
        cheapest: float = np.inf
        best = None
        for side in crops:
            crop = cut_square(picture, centre, side * unit, _HAND_PIXELS)
            for marks, looks_left, certainty in self._searcher.detect(crop.picture):
                hand = crop.to_picture(marks)
                own, other = (np.linalg.norm(hand[0] - wrist) / unit for wrist in wrists)
                # The label is wrong in a twelfth of the cases: it counts, but place decides.
                cost = own + _WRONG_LABEL * certainty * (looks_left != self._left)
                cost += _OTHER_WRIST * (other < own)
                if own < _FARTHEST and cost < cheapest:
                    cheapest, best = cost, hand
            if cheapest < _NEAR:
                break
        return best


def _on_wrist(hand: Floats, wrist: Floats, near: float) -> Floats:
    """Return a hand that reaches up to its wrist.

    Of a hand that hangs, seen from its edge, the network takes the fingers for the whole: their
    tips are right, and its wrist is at the knuckles. What lies between is drawn out to the arm.

    Args:
        hand: (21, 2) pixels, its wrist first.
        wrist: (2,), the arm's end.
        near: pixels that the two may be apart.
    """
    gap = wrist - hand[0]
    if np.linalg.norm(gap) <= near:
        return hand
    way = hand[_MIDDLE_TIP] - hand[0]
    along = (hand - hand[0]) @ way / max(float(way @ way), 1.0)
    drawn: Floats = hand + (1 - np.clip(along, 0, 1))[:, None] * gap
    return drawn


def one_hand_only(
    body: Floats, left: Floats | None, right: Floats | None
) -> tuple[Floats | None, Floats | None]:
    """Drop one of two hands that are the same one, found from both wrists."""
    if left is None or right is None:
        return left, right
    size = max(float(np.ptp(hand, axis=0).max()) for hand in (left, right))
    if np.linalg.norm(left - right, axis=1).mean() > _SAME_HAND * size:
        return left, right
    from_left = np.linalg.norm(left[0] - body[_LEFT_WRIST, :2])
    from_right = np.linalg.norm(right[0] - body[_RIGHT_WRIST, :2])
    return (left, None) if from_left <= from_right else (None, right)


def find_face(picture: Picture, body: Floats, landmarker: FaceLandmarker) -> Floats | None:
    """Find the face of a body; returns (478, 2) in pixels of the picture, or None."""
    ears = body[[_LEFT_EAR, _RIGHT_EAR], :2]
    distance = max(float(np.linalg.norm(ears[0] - ears[1])), _LEAST_EARS * _shoulder_width(body))
    centre = (ears.mean(0) + body[_NOSE, :2]) / 2
    height, width = picture.shape[:2]
    if np.maximum(-centre, centre - (width, height)).max() > distance:
        return None
    crop = cut_square(picture, centre, _FACE_CROP * distance, _FACE_PIXELS)
    face = landmarker.detect(crop.picture)
    if face is None:
        return None
    face = crop.to_picture(face)
    # A face further away belongs to somebody else in the crop.
    return face if np.linalg.norm(face.mean(0) - centre) < distance else None


def _shoulder_width(body: Floats) -> float:
    """Return the person's measure: the shoulders' width, or the trunk's when seen from the side."""
    shoulders, hips = body[list(_SHOULDERS), :2], body[list(_HIPS), :2]
    width = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    return max(width, 0.6 * float(np.linalg.norm(shoulders.mean(0) - hips.mean(0))), 1.0)
