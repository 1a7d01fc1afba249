# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine and the queue say about a render, in the language of the interface.

They speak English, in sentences with numbers in them. Those that every render shows are known
here by their form; anything else is shown as it came.
"""

import re

from .translations import say

__all__ = ["translated", "without_commands"]

_STAGES = (
    "reading the motion",
    "loading the models",
    "denoising",
    "decoding",
    "writing videos",
    "looking at pictures",
    "making larger",
    "drawing",
    "Waiting",
    "Recording the motion",
    "Starting the engine",
    "Stopping after the work in hand",
    "Went on while Blender was closed",
    "Pose maps",
)
_FORMS = (
    (r"(?P<count>\d+) frames in (?P<time>.+)", "{count} frames in {time}"),
    (r"(?P<done>\d+) of (?P<count>\d+) frames are there", "{done} of {count} frames are there"),
    (r"(?P<count>\d+) frames", "{count} frames"),
    (
        r"The engine ended unexpectedly \(status (?P<status>-?\d+)\)\.",
        "The engine ended unexpectedly (status {status}).",
    ),
    (r"no body was found in the armature (?P<name>.+)", "no body was found in the armature {name}"),
)
_STAGE = re.compile(
    r"(?P<stage>[A-Za-z ]+?)(?P<count> \d+/\d+)?(?:, step (?P<step>\d+) of (?P<steps>\d+))?"
)


_OPTIONS = re.compile(r" \(--[a-z][^()]*\)")
_PULL = re.compile(r"(Fetch \w+ (?:once|again)) with: marionext models pull \w+")


def without_commands(text: str) -> str:
    """Take out what the engine says of the command line: its options, and how it fetches."""
    return _PULL.sub(r"\1 in the add-on's preferences.", _OPTIONS.sub("", text))


def translated(message: str) -> str:
    """Return a message in the language of the interface."""
    lines = message.split("\n")
    return "\n".join([_first_line(lines[0]), *map(say, lines[1:])])


def _first_line(text: str) -> str:
    for form, words in _FORMS:
        found = re.fullmatch(form, text)
        if found:
            return say(words, **found.groupdict())
    stage = _STAGE.fullmatch(text)
    if stage and stage["stage"] in _STAGES:
        told = say(stage["stage"]) + (stage["count"] or "")
        if stage["step"]:
            told += say(", step {step} of {steps}", step=stage["step"], steps=stage["steps"])
        return told
    return say(text)
