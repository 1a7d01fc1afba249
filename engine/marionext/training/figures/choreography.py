"""Invent dances: random joint angles over time.

A dance is a handful of smooth random signals. Each mixes slow sinusoids with poses that are held
and changed on a beat, as dancers do; some dances walk, sway or jump as well.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from marionext.training.figures.steps import Steps

__all__ = ["at_ease", "random_steps"]

Floats = NDArray[np.float32]


def _signal(
    rng: np.random.Generator,
    seconds: NDArray[np.float64],
    low: float,
    high: float,
    *,
    beat: float,
    sides: int = 0,
) -> Floats:
    """Draw a smooth random signal between two values.

    Args:
        rng: the source of chance.
        seconds: (frames,) points in time, in any order and distance.
        low: least value.
        high: greatest value.
        beat: length of a beat in seconds.
        sides: 0 for one signal, else the number of independent ones.

    Returns:
        (frames,) or (frames, sides).
    """
    columns = max(sides, 1)
    period = rng.uniform(1.2, 4.0, (columns, 3)) * beat
    waves = np.sin(
        2 * np.pi * (seconds[:, None, None] / period + rng.uniform(0, 1, (columns, 3)))
    ).mean(axis=2)
    # Key poses on the beat. One draw covers a span far longer than a clip: frame times wrap.
    keys = 0.5 - 0.5 * np.cos(np.pi * rng.uniform(0, 1, (64, columns)))
    place = seconds / beat + rng.uniform(0, 1)
    index = np.floor(place).astype(int)
    ease = np.clip((place - index) / rng.uniform(0.45, 1.0), 0, 1)
    ease = (ease * ease * (3 - 2 * ease))[:, None]
    held = keys[index % 64] * (1 - ease) + keys[(index + 1) % 64] * ease
    share = rng.uniform(0.0, 1.0, columns) ** 0.7
    value = (1 - share) * (0.5 + 0.75 * waves) + share * held
    result: Floats = (low + (high - low) * np.clip(value, 0, 1)).astype(np.float32)
    return result if sides else result[:, 0]


def random_steps(rng: np.random.Generator, seconds: NDArray[np.float64]) -> Steps:
    """Invent a dance and return it at the given times.

    Args:
        rng: the source of chance; the number of draws does not depend on ``seconds``.
        seconds: (frames,) points in time.
    """
    beat = rng.uniform(0.35, 0.8)
    energy = rng.uniform(0.35, 1.0)

    def signal(low: float, high: float, sides: int = 0) -> Floats:
        return _signal(rng, seconds, low, high, beat=beat, sides=sides)

    kind = rng.uniform()
    widest = 0.35 if kind < 0.5 else 1.3
    # Most dance for the viewer; some to the side, some with their back to us.
    aside = rng.uniform(-np.pi, np.pi) if 0.4 < kind < 0.5 or 0.8 < kind < 0.9 else 0.0
    turn = signal(-widest, widest) + np.float32(rng.uniform(-0.25, 0.25) + aside)
    if kind > 0.9:  # a full turn now and then
        turn = turn + (rng.choice([-1, 1]) * seconds / rng.uniform(1, 3) * 2).astype(np.float32)
    else:
        rng.choice([-1, 1]), rng.uniform(1, 3)
    top = rng.choice([1.0, 1.9, 2.9], p=[0.25, 0.35, 0.4])
    mirrored = rng.uniform() < 0.35
    raise_, swing = signal(0.08, top, 2), signal(-0.5, 0.9, 2) * np.float32(energy)
    elbow, elbow_turn = signal(0.0, 2.2, 2), signal(-0.6, 1.4, 2)
    if mirrored:
        raise_[:, 1], swing[:, 1] = raise_[:, 0], swing[:, 0]
        elbow[:, 1], elbow_turn[:, 1] = elbow[:, 0], elbow_turn[:, 0]
    kick = signal(-0.25, 0.3 + 0.6 * energy, 2)
    legs = np.float32(energy)
    crouch = signal(0, 0.8) * legs
    dance = Steps(
        turn=turn.astype(np.float32),
        wring=signal(-0.5, 0.5) * np.float32(energy * rng.uniform()),
        lean=signal(-0.35, 0.35) * legs,
        bend=signal(-0.1, 0.3) * legs,
        head_turn=signal(-0.6, 0.6),
        head_tilt=signal(-0.3, 0.3),
        raise_=raise_,
        swing=swing,
        elbow=elbow,
        elbow_turn=elbow_turn,
        spread=signal(0.02, 0.12 + 0.4 * energy, 2),
        kick=kick * legs + crouch[:, None] * 0.5,
        knee=signal(0.0, 0.9, 2) * legs * np.clip(kick + 0.4, 0, 1) + crouch[:, None],
        twist=signal(-0.6, 2.2, 2),
        fingers=_gestures(rng, signal(-0.3, 1.3, 2).clip(0, 1)),
        mouth=signal(0, 1),
        smile=signal(-0.6, 1.0),
        blink=np.clip(signal(-4.0, 1.4), 0, 1),
        shift=np.stack([signal(-0.09, 0.09), signal(-0.01, 0.03) + _jumps(rng, seconds, beat)], 1)
        * legs,
    )
    manner = rng.uniform()
    walking, swaying = _walked(rng, dance, seconds, beat), _swayed(rng, dance, seconds, beat)
    if manner < 0.13:
        return walking
    return swaying if manner < 0.25 else dance


def _walked(
    rng: np.random.Generator, dance: Steps, seconds: NDArray[np.float64], beat: float
) -> Steps:
    """Return a dance whose arms and legs walk: on the spot, or across the picture."""
    phase = np.pi * (seconds / beat + rng.uniform(0, 2))
    stride, arms = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.7)
    both = np.sin(phase)[:, None] * np.array([1.0, -1.0])
    # The knee bends while its leg comes forward.
    lifting = np.clip(np.cos(phase)[:, None] * np.array([1.0, -1.0]), 0, None)
    speed = rng.uniform(-0.25, 0.25) * (rng.uniform() < 0.5)
    across = 0.3 * np.sin(speed * (seconds - seconds[0]) + rng.uniform(-0.5, 0.5))
    aside = rng.uniform(-1.7, 1.7)
    bounce = 0.012 * np.cos(2 * phase)
    free = rng.uniform() < 0.3  # the arms do something else
    return replace(
        dance,
        turn=np.asarray(dance.turn * 0.3 + aside, np.float32),
        wring=np.asarray(-0.25 * arms * np.sin(phase), np.float32),
        lean=dance.lean * np.float32(0.2),
        bend=dance.bend * np.float32(0.4),
        raise_=dance.raise_ if free else np.asarray(0.12 + dance.raise_ * 0.06, np.float32),
        swing=dance.swing if free else np.asarray(-arms * both, np.float32),
        elbow=dance.elbow if free else np.asarray(0.25 + arms * (0.5 - 0.4 * both), np.float32),
        spread=dance.spread * np.float32(0.15),
        kick=np.asarray(stride * both, np.float32),
        knee=np.asarray(0.08 + 1.6 * stride * lifting, np.float32),
        shift=np.stack([across, bounce], axis=1).astype(np.float32),
    )


def _swayed(
    rng: np.random.Generator, dance: Steps, seconds: NDArray[np.float64], beat: float
) -> Steps:
    """Return a dance that sways from foot to foot on the beat, its arms swinging along."""
    phase = np.pi * (seconds / beat + rng.uniform(0, 2))
    wide = rng.uniform(0.4, 1.0)
    sway = np.sin(phase) * np.abs(np.sin(phase)) ** 0.3
    lifted = np.clip(sway[:, None] * np.array([-1.0, 1.0]), 0, None)
    swung = rng.uniform(0.2, 0.9) * sway[:, None] * np.array([1.0, -1.0])
    return replace(
        dance,
        lean=np.asarray(-0.18 * wide * sway, np.float32),
        wring=np.asarray(0.35 * wide * np.sin(phase + rng.uniform(0, 1)), np.float32),
        swing=np.asarray(dance.swing * 0.5 + swung, np.float32),
        kick=np.asarray(0.25 * wide * lifted, np.float32),
        knee=np.asarray(0.1 + 0.6 * wide * lifted, np.float32),
        shift=np.stack([0.07 * wide * sway, -0.02 * np.abs(sway)], axis=1).astype(np.float32),
    )


def _jumps(rng: np.random.Generator, seconds: NDArray[np.float64], beat: float) -> Floats:
    """Return the height of jumps on every second or fourth beat, in a few dances: (frames,)."""
    high, every = rng.uniform(0.05, 0.16) * (rng.uniform() < 0.15), rng.choice([2, 4])
    place = (seconds / beat + rng.uniform(0, 4)) % every
    flight = np.clip(1 - np.square(2 * place - 1), 0, None)
    return np.asarray(high * flight, np.float32)


_GESTURES = np.array(
    [[1, 1, 1, 1, 1], [0.3, 1, 0, 0, 0], [0.2, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 1],
     [0, 0, 0, 0, 0], [0.6, 0.9, 0.8, 0.7, 0.6]], np.float32
)  # fmt: skip
"""Which fingers are stretched: open, pointing, victory, thumb up, horns, fist, relaxed."""


def _gestures(rng: np.random.Generator, openness: Floats) -> Floats:
    """Let each hand change between two gestures: (frames, 2, 5) from (frames, 2)."""
    weights = [0.46, 0.1, 0.1, 0.06, 0.04, 0.08, 0.16]
    one = _GESTURES[rng.choice(len(_GESTURES), 2, p=weights)]
    other = _GESTURES[rng.choice(len(_GESTURES), 2, p=[0.2, 0.1, 0.1, 0.05, 0.05, 0.4, 0.1])]
    share = openness[..., None]
    return np.asarray(one * share + other * (1 - share), np.float32)


def at_ease(rng: np.random.Generator) -> Steps:
    """Return the steps of one frame: someone who stands facing the viewer, arms a little away."""
    steps = random_steps(rng, np.zeros(1))
    calm = {field.name: getattr(steps, field.name) * np.float32(0.15) for field in fields(steps)}
    calm["raise_"] = rng.uniform(0.15, 0.6, (1, 2)).astype(np.float32)
    calm["elbow"] = rng.uniform(0.0, 0.4, (1, 2)).astype(np.float32)
    calm["spread"] = rng.uniform(0.05, 0.2, (1, 2)).astype(np.float32)
    calm["fingers"] = rng.uniform(0.5, 1.0, (1, 2, 1)).astype(np.float32) * np.ones(5, np.float32)
    calm["turn"] = np.clip(steps.turn, -2, 2) * np.float32(0.15)
    calm["knee"] = np.zeros((1, 2), np.float32)
    calm["kick"] = np.zeros((1, 2), np.float32)
    return Steps(**calm)
