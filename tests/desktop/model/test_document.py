import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.codec import decode, encode
from marionext.edits import Hide, Offset
from marionext.frames import FrameRange, FrameRate
from marionext_desktop.model import editing
from marionext_desktop.model.document import Document
from marionext_desktop.model.project import Project, Source

Change = Callable[[Project], Project]


def source(name: str, frames: int = 100, rate: str = "30", kind: str = "video") -> Source:
    return Source(
        id=name,
        path=f"/media/{name}.mp4",
        kind=kind,  # type: ignore[arg-type]
        name=name,
        frames=frames,
        rate=FrameRate.parse(rate),
        size=(640, 480),
        sound=True,
    )


def written(project: Project) -> str:
    return json.dumps(encode(project))


@pytest.fixture
def project() -> Project:
    project = Project()
    for each in (source("a"), source("b", 50, "25"), source("m", 300, kind="sound")):
        project = editing.add_source(project, each)
    for name in ("a", "b", "m"):
        project = editing.append(project, editing.whole_clip(project, name))
    return project


def test_the_first_source_decides_on_rate_and_size_of_an_empty_project() -> None:
    project = editing.add_source(Project(), source("b", 50, "25"))
    assert (str(project.rate), project.size) == ("25", (640, 480))
    assert str(editing.add_source(project, source("a")).rate) == "25"


def test_a_step_is_undone_and_done_again(project: Project) -> None:
    document = Document(project)
    assert document.do("Cut", editing.blade(project, 10))
    assert (document.undo_label, document.dirty) == ("Cut", True)
    assert document.undo() == "Cut"
    assert document.project is project
    assert not document.dirty
    assert document.redo() == "Cut"
    assert len(document.project.clips) == 5  # motion and sound
    assert document.redo() is None


def test_a_gesture_is_one_step(project: Project) -> None:
    document = Document(project)
    name = project.clips[0].id
    for by in range(1, 30):
        document.do("Trim", editing.trim(project, name, "end", -by), merge="trim")
    document.end_gesture()
    document.do("Trim", editing.trim(document.project, name, "end", -1), merge="trim")
    assert document.labels == (("Trim", "Trim"), ())
    document.undo()
    assert document.project.clips[0].count == 71
    document.undo()
    assert document.project is project


def test_a_gesture_that_comes_back_leaves_no_step(project: Project) -> None:
    document = Document(project)
    name = project.clips[0].id
    for by in (1, 2, 1, 0):
        document.do("Trim", editing.trim(project, name, "end", -by), merge="trim")
    assert document.undo_label is None
    assert not document.dirty


def test_escape_takes_a_gesture_back(project: Project) -> None:
    document = Document(project)
    document.do("Cut", editing.blade(project, 10))
    cut = document.project
    document.do("Trim", editing.trim(cut, cut.clips[0].id, "end", -3), merge="trim")
    document.cancel_gesture()
    assert document.project is cut
    document.cancel_gesture()
    assert document.project is cut


def test_what_is_amended_survives_undo_and_is_to_be_saved(project: Project) -> None:
    document = Document(project)
    document.do("Cut", editing.blade(project, 10))
    document.saved()
    document.amend(lambda each: replace(each, notes="rendered"))
    assert document.dirty
    document.undo()
    assert document.project == replace(project, notes="rendered")


def test_the_oldest_steps_are_forgotten_when_memory_is_short(project: Project) -> None:
    document = Document(project, budget=200_000)
    name = project.clips[0].id
    for step in range(200):
        edit = Offset(by=(float(step), 0.0), joints=("left_wrist",), frames=FrameRange(0, 50))
        clip = document.project.clip(name)
        document.do(
            f"Move {step}",
            document.project.with_clips({name: replace(clip, edits=(*clip.edits, edit))}),
        )
    assert document.history_bytes <= 200_000
    assert document.undo_label == "Move 199"
    assert 1 <= len(document.labels[0]) < 200


def test_signals_tell_what_has_changed(project: Project) -> None:
    document = Document(project)
    told: list[tuple[Project, Project]] = []
    document.changed.connect(lambda old, new: told.append((old, new)))
    document.do("Nothing", project)
    document.do("Nothing", replace(project))
    assert told == []
    document.do("Cut", editing.blade(project, 10))
    assert [(old is project, len(new.clips)) for old, new in told] == [(True, 5)]


FRAMES = st.integers(0, 260)
STEPS = st.integers(-40, 40)


@st.composite
def changes(draw: st.DrawFn) -> tuple[Change, bool]:
    """Draw something that a user does, and whether it is a gesture that goes on."""
    which, frame, step = draw(st.integers(0, 18)), draw(FRAMES), draw(STEPS)
    place, edge = draw(st.integers(0, 5)), draw(st.sampled_from(["start", "end"]))
    ripple = draw(st.booleans())
    span = FrameRange(frame, frame + draw(st.integers(1, 60)))
    speed = draw(st.sampled_from([Fraction(1, 2), Fraction(-2), Fraction(7, 5), Fraction(1)]))

    def of_clip(change: Callable[[Project, str], Project]) -> Change:
        return lambda p: change(p, p.clips[place % len(p.clips)].id) if p.clips else p

    def with_edit(project: Project, name: str) -> Project:
        clip = project.clip(name)
        edit = Hide(frames=span, joints=("left_hand",))
        return project.with_clips({name: replace(clip, edits=(*clip.edits, edit))})

    ways: list[Change] = [
        lambda p: editing.blade(p, frame),
        of_clip(lambda p, n: editing.trim(p, n, edge, step, ripple=ripple)),
        of_clip(lambda p, n: editing.roll(p, n, step)),
        of_clip(lambda p, n: editing.slip(p, n, step)),
        of_clip(lambda p, n: editing.move(p, [n], step)),
        of_clip(lambda p, n: editing.lift(p, [n])),
        of_clip(lambda p, n: editing.extract(p, [n])),
        lambda p: editing.lift_range(p, span),
        lambda p: editing.extract_range(p, span),
        of_clip(lambda p, n: editing.retime(p, n, speed, ripple=ripple)),
        of_clip(editing.reverse),
        of_clip(lambda p, n: editing.hold(p, n, frame)),
        lambda p: editing.freeze(p, frame, 12),
        lambda p: editing.close_gap(p, frame),
        lambda p: editing.add_marker(p, frame, "here"),
        lambda p: editing.set_mark_in(p, frame),
        lambda p: editing.set_mark_out(p, frame),
        of_clip(with_edit),
        lambda p: editing.paste(p, p.clips[:2], frame),
    ]
    return ways[which], draw(st.booleans())


def start() -> Project:
    project = Project()
    for each in (source("a"), source("b", 50, "25"), source("m", 300, kind="sound")):
        project = editing.add_source(project, each)
        project = editing.append(project, editing.whole_clip(project, each.id))
    return project


@settings(max_examples=80, deadline=None)
@given(st.lists(changes(), max_size=14))
def test_any_edits_undone_are_the_document_before_byte_for_byte(
    made: list[tuple[Change, bool]],
) -> None:
    document = Document(start())
    texts = [written(document.project)]
    for change, gesture in made:
        if document.do("change", change(document.project), merge=object() if gesture else None):
            texts.append(written(document.project))
        document.end_gesture()
        # Whatever was done is a project that can be saved and opened again.
        assert decode(Project, json.loads(texts[-1])) == document.project
    for text in reversed(texts[:-1]):
        assert document.undo() is not None
        assert written(document.project) == text
    assert document.undo() is None
    assert not document.dirty
    for text in texts[1:]:
        assert document.redo() is not None
        assert written(document.project) == text
    assert document.redo() is None
