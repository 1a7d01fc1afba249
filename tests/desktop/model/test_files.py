import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot
from tests.desktop.model.test_document import Change, changes, start

from marionext.edits import SetPoints
from marionext.errors import OutputError
from marionext.frames import FrameRange, FrameRate
from marionext_desktop.model import editing, files
from marionext_desktop.model.document import Document
from marionext_desktop.model.files import (
    DamagedProjectError,
    NewerProjectError,
    ProjectChangedError,
    as_text,
    from_bytes,
    open_project,
    save_as,
)
from marionext_desktop.model.project import Character, Project, Source, Take
from marionext_desktop.model.recovery import Autosave, decline, find_recoverable, recover
from marionext_desktop.model.relinking import missing_media, relinked, search
from marionext_desktop.model.saving import Saver


def project_in(folder: Path) -> Project:
    (folder / "media").mkdir(exist_ok=True)
    video = folder / "media" / "dance.mp4"
    video.write_bytes(b"a video" * 100)
    from marionext_desktop.model.places import stamp_of

    source = Source(
        id="s", path=str(video), kind="video", name="dance.mp4", frames=50, size=(64, 64),
        stamp=stamp_of(video), rate=FrameRate(Fraction(30000, 1001)),
    )  # fmt: skip
    project = editing.add_source(Project(), source)
    project = editing.append(project, editing.whole_clip(project, "s"))
    take = Take(
        id="t", name="v1", folder=str(folder / "takes" / "v1"), character="c",
        span=FrameRange(0, 10), poses="x", model="doll",
    )  # fmt: skip
    hero = Character(id="c", path=str(folder / "hero.png"), name="hero")
    return replace(project, takes=(take,), characters=(hero,))


def test_a_project_is_read_as_it_was_saved(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    save_as(project, tmp_path / "a.marionext").close()
    again, file = open_project(tmp_path / "a.marionext")
    assert again == project
    file.save(again)
    file.close()
    assert '"path": "media/dance.mp4"' in (tmp_path / "a.marionext").read_text()


def test_a_folder_can_be_moved_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    save_as(project_in(tmp_path / "old"), tmp_path / "old" / "a.marionext").close()
    (tmp_path / "old").rename(tmp_path / "new")
    project, file = open_project(tmp_path / "new" / "a.marionext")
    file.close()
    assert project.sources[0].path == str(tmp_path / "new" / "media" / "dance.mp4")
    assert missing_media(project) == (*(m for m in missing_media(project) if m.id == "c"),)


@settings(max_examples=40, deadline=None)
@given(st.lists(changes(), max_size=4))
def test_whatever_was_done_is_read_back(made: list[tuple[Change, bool]]) -> None:
    project = start()
    for change, _ in made:
        project = change(project)
    text = as_text(project, beside=Path("/somewhere"))
    assert from_bytes(text.encode(), Path("/somewhere/x.marionext")) == project


def test_numbers_of_edits_fill_no_pages() -> None:
    project = start()
    places = tuple(tuple((float(n), 1.5) for n in range(134)) for _ in range(20))
    edit = SetPoints(frames=FrameRange(0, 20), points=places)
    clip = replace(project.clips[0], edits=(edit, edit))
    text = as_text(project.with_clips({clip.id: clip}), beside=Path("/x"))
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": "marionext.project"}',
        b'{"schema": "marionext.project", "version": 1, "sourcez": []}',
        b'{"schema": "marionext.project", "version": 1, "rate": "0"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_refused_in_words_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.marionext"
    path.write_bytes(content)
    with pytest.raises(DamagedProjectError, match=r"a\.marionext"):
        open_project(path)
    with pytest.raises(DamagedProjectError):
        save_as(Project(), path, overwrite=True)
    assert path.read_bytes() == content


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.marionext"
    content = json.dumps({"schema": files.SCHEMA, "version": 99})
    path.write_text(content)
    with pytest.raises(NewerProjectError, match="version 99"):
        open_project(path)
    with pytest.raises(NewerProjectError):
        save_as(Project(), path, overwrite=True)
    assert path.read_text() == content


def test_another_project_is_replaced_only_when_somebody_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.marionext"
    save_as(Project(notes="one"), path).close()
    with pytest.raises(OutputError, match="there already"):
        save_as(Project(notes="two"), path)
    save_as(Project(notes="two"), path, overwrite=True).close()
    assert files.read_project(path).notes == "two"


def test_a_file_that_another_program_has_changed_is_left_alone(tmp_path: Path) -> None:
    file = save_as(Project(), tmp_path / "a.marionext")
    other = as_text(Project(notes="theirs"), beside=tmp_path)
    file.path.write_text(other)
    with pytest.raises(ProjectChangedError, match="another program"):
        file.save(Project(notes="ours"))
    assert file.path.read_text() == other
    file.path.unlink()
    file.save(Project(notes="ours"))  # moved away: nothing is lost
    file.close()


def test_a_project_that_another_window_has_open_can_only_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.marionext"
    save_as(Project(notes="one"), path).close()
    holding = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            import time
            from pathlib import Path
            from marionext_desktop.model.files import open_project
            held = open_project(Path({str(path)!r}))
            print("open", flush=True)
            time.sleep(60)
        """)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holding.stdout is not None
    assert holding.stdout.readline() == "open\n"
    project, file = open_project(path)
    assert project.notes == "one"
    assert "another window" in file.holder
    with pytest.raises(OutputError, match="another window"):
        file.save(project)
    holding.kill()
    holding.wait()
    holding.stdout.close()
    _, file = open_project(path)  # a window that was killed holds nothing
    assert not file.read_only
    file.close()


def test_a_full_disk_keeps_the_document_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.marionext"
    save_as(Project(notes="before"), path).close()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(f"""
            import resource, signal
            from pathlib import Path
            from marionext.errors import OutputError
            from marionext_desktop.model.files import open_project
            from marionext_desktop.model.project import Project
            project, file = open_project(Path({str(path)!r}))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            try:
                file.save(Project(notes="x" * 10_000))
            except OutputError as error:
                print(error.message)
        """)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "the disk is full" in done.stdout
    assert files.read_project(path).notes == "before"
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


SAVE_UNTIL_KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from marionext_desktop.model.files import open_project
project, file = open_project(Path(sys.argv[1]))
count = 0
while True:
    count += 1
    file.save(replace(project, notes=str(count) + "x" * 200_000))
    print(count, flush=True)
"""


@pytest.mark.slow
def test_a_kill_while_saving_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    path = tmp_path / "a.marionext"
    save_as(Project(notes="0"), path).close()
    for delay in (0.0, 0.013, 0.031, 0.057, 0.083):
        saving = subprocess.Popen(
            [sys.executable, "-c", SAVE_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert saving.stdout is not None
        saving.stdout.readline()
        time.sleep(delay)
        saving.send_signal(signal.SIGKILL)
        told = saving.communicate()[0].split()
        last = int(told[-1]) if told else 1
        saved = int(files.read_project(path).notes.rstrip("x"))
        assert saved in (last, last + 1)


def test_saving_beside_the_window_tells_how_it_went(tmp_path: Path, qtbot: QtBot) -> None:
    saver = Saver()
    with qtbot.waitSignal(saver.saved) as told:
        saver.save_as(Project(notes="a"), tmp_path / "a.marionext")
    project, file = told.args
    with qtbot.waitSignal(saver.failed) as refused:
        saver.save_as(project, tmp_path / "a.marionext")
    assert "there already" in refused.args[0].message
    with qtbot.waitSignal(saver.saved):
        saver.save(replace(project, notes="b"), file)
    file.close()
    with qtbot.waitSignal(saver.opened) as opened:
        saver.open(tmp_path / "a.marionext")
    assert opened.args[0].notes == "b"
    opened.args[1].close()
    saver.close()


# -------------------------------------------------------------------------------------- recovery


def test_work_is_kept_in_turn_and_gone_when_the_window_ends_well(
    tmp_path: Path, qtbot: QtBot
) -> None:
    document = Document(start())
    autosave = Autosave(document, folder=tmp_path)
    for number in range(12):
        document.do("Note", replace(document.project, notes=str(number)))
        with qtbot.waitSignal(autosave.kept):
            autosave.keep()
    assert len(list(autosave.folder.glob("*.marionext"))) == 8
    assert find_recoverable(tmp_path) == ()  # this window is alive
    autosave.close()
    assert not autosave.folder.exists()


EDIT_UNTIL_KILLED = """
import sys, time
from dataclasses import replace
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer
from marionext_desktop.model.document import Document
from marionext_desktop.model.project import Project
from marionext_desktop.model.recovery import Autosave
app = QCoreApplication([])
document = Document(Project())
autosave = Autosave(document, folder=Path(sys.argv[1]))
autosave.follow(Path("/projects/kitchen.marionext"))
count = 0
def edit():
    global count
    count += 1
    document.do("Note", replace(document.project, notes=str(count)))
    print(count, time.monotonic(), flush=True)
timer = QTimer()
timer.timeout.connect(edit)
timer.start(100)
app.exec()
"""


@pytest.mark.slow
def test_a_kill_costs_the_last_few_seconds_at_most(tmp_path: Path) -> None:
    window = subprocess.Popen(
        [sys.executable, "-c", EDIT_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    time.sleep(13)
    window.send_signal(signal.SIGKILL)
    told = window.communicate()[0].splitlines()
    last, at = int(told[-1].split()[0]), float(told[-1].split()[1])
    (work,) = find_recoverable(tmp_path)
    assert work.project_file == Path("/projects/kitchen.marionext")
    project = recover(work)
    kept = next(float(t) for n, t in (line.split() for line in told) if n == project.notes)
    assert at - kept < 9.5
    assert int(project.notes) <= last
    decline(work)
    assert find_recoverable(tmp_path) == ()


def test_states_that_cannot_be_read_stop_nobody(tmp_path: Path) -> None:
    for name, note in (("a", "{"), ("b", "[]"), ("c", None)):
        (tmp_path / name).mkdir()
        if note is not None:
            (tmp_path / name / "window.json").write_text(note)
    assert find_recoverable(tmp_path) == ()
    assert find_recoverable(tmp_path / "nowhere") == ()
    gone = {"process": {"pid": 1, "born": "long ago", "host": os.uname().nodename}, "project": None}
    (tmp_path / "c" / "window.json").write_text(json.dumps(gone))
    (tmp_path / "c" / "000001.marionext").write_text(as_text(start(), beside=tmp_path / "c"))
    (tmp_path / "c" / "000002.marionext").write_text("{ half a st")
    (work,) = find_recoverable(tmp_path)
    assert [clip.count for clip in recover(work).clips] == [clip.count for clip in start().clips]
    (tmp_path / "c" / "000001.marionext").write_text("")
    with pytest.raises(OutputError, match="none can"):
        recover(work)
    decline(work)
    assert find_recoverable(tmp_path) == ()


# ------------------------------------------------------------------------------------- relinking


def test_media_are_found_again_by_name_and_by_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    project = project_in(tmp_path / "a")
    (tmp_path / "a" / "hero.png").write_bytes(b"png")
    assert missing_media(project) == ()
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    (tmp_path / "a" / "media" / "dance.mp4").rename(other / "renamed.mp4")
    (tmp_path / "a" / "hero.png").rename(other / "hero.png")
    (other / "dance.mp4").write_bytes(b"something else")
    missing = missing_media(project)
    assert [each.id for each in missing] == ["s", "c"]
    found = search(missing, tmp_path / "elsewhere")
    assert found == {"s": other / "renamed.mp4", "c": other / "hero.png"}
    again = relinked(project, found)
    assert missing_media(again) == ()
    assert again.sources[0].stamp is not None
    assert project.sources[0].stamp is not None
    assert again.sources[0].stamp.digest == project.sources[0].stamp.digest
