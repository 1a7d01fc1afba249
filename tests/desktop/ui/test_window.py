import ast
import errno
import os
import re
import time
from importlib import resources
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QSlider
from pytestqt.qtbot import QtBot
from tests.desktop.ui.conftest import settle

import marionext_desktop.ui
from marionext.skeleton import POINT_NAMES
from marionext_desktop.model import exporting, words
from marionext_desktop.model.chinese import CHINESE
from marionext_desktop.model.files import open_project, read_project, save_as
from marionext_desktop.model.settings import UserSettings, read_settings, write_settings
from marionext_desktop.model.shortcuts import COMMANDS, KEY_SETS, conflicts, keys_of
from marionext_desktop.ui.controls import Button
from marionext_desktop.ui.dialogs import ExportDialog, KeysDialog, ProjectDialog
from marionext_desktop.ui.help import help_page
from marionext_desktop.ui.queue_panel import JobCard
from marionext_desktop.ui.theme import DARK, LIGHT, theme
from marionext_desktop.ui.timeline.rows import LIMBS
from marionext_desktop.ui.window import Window


def brightness(colour: str) -> float:
    parts = (QColor(colour).redF(), QColor(colour).greenF(), QColor(colour).blueF())
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((brightness(one), brightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DARK, LIGHT])
def test_text_can_be_read_in_both_schemes(colours: object) -> None:
    for text in ("strong", "text", "faint", "warn", "bad", "good", "accent"):
        least = 4.5 if text in {"strong", "text"} else 3.0
        for back in ("panel", "head", "back"):
            value = contrast(getattr(colours, text), getattr(colours, back))
            assert value >= least, (text, back, value)


@pytest.mark.parametrize("key_set", KEY_SETS)
def test_no_key_means_two_things(key_set: str) -> None:
    assert not conflicts(key_set)  # type: ignore[arg-type]


def test_every_button_says_what_it_does(window: Window) -> None:
    for space in ("edit", "clean", "render"):
        window.showing.turn_to(space)  # type: ignore[arg-type]
        for button in window.findChildren(Button):
            assert button.accessibleName() or button.text() or button.toolTip(), button
        for slider in window.findChildren(QSlider):
            assert slider.accessibleName(), slider


def test_every_command_does_something(window: Window) -> None:
    import marionext_desktop

    sources = "\n".join(
        path.read_text("utf-8")
        for path in Path(marionext_desktop.__file__).parent.joinpath("ui").rglob("*.py")
    )
    for name in COMMANDS:
        assert f'"{name}"' in sources, name


def test_workspaces_are_turned_by_keys(window: Window) -> None:
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window.showing.space == "clean"
    assert not window.library.isVisible()
    assert window.selection.findings.isVisible()
    QTest.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert window.rendering.isVisible()
    assert window.viewer.canvas.layout_shown == "wipe"
    QTest.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window.showing.options.layout == "side"


def test_undo_names_what_it_takes_back(window: Window) -> None:
    window.go_to(50)
    window.actions_["blade"].trigger()
    assert window.actions_["undo"].text() == "Undo: cut"
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(window.session.project.clips) == 1
    assert not window.actions_["undo"].isEnabled()


def test_letters_are_typed_into_fields_and_do_nothing_else(window: Window) -> None:
    place = window.viewer.transport.place
    place.setFocus()
    place.selectAll()
    QTest.keyClicks(place, "12.5s")
    assert window.session.project.mark_in is None
    QTest.keyClick(place, Qt.Key.Key_Return)
    assert window.showing.frame == window.session.project.length - 1


def test_space_presses_the_button_that_has_the_focus(window: Window) -> None:
    button = window.viewer.layouts.button("wipe")
    button.setFocus()
    QTest.keyClick(button, Qt.Key.Key_Space)
    assert window.showing.options.layout == "wipe"
    assert not window.media.player.playing


def test_playing_moves_the_playhead_without_standing_still(window: Window, qtbot: QtBot) -> None:
    QTest.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.showing.frame > 10, timeout=8000)
    QTest.keyClick(window, Qt.Key.Key_Space)
    assert not window.media.player.playing
    stopped = window.showing.frame
    settle(qtbot, 150)
    assert window.showing.frame == stopped


def test_with_k_held_j_and_l_go_frame_by_frame(window: Window) -> None:
    window.go_to(50)
    QTest.keyPress(window, Qt.Key.Key_K)
    QTest.keyClick(window, Qt.Key.Key_L)
    QTest.keyClick(window, Qt.Key.Key_L)
    assert (window.showing.frame, window.media.player.playing) == (52, False)
    QTest.keyClick(window, Qt.Key.Key_J)
    assert window.showing.frame == 51
    QTest.keyRelease(window, Qt.Key.Key_K)
    QTest.keyClick(window, Qt.Key.Key_L)
    assert window.media.player.playing
    window.media.player.stop()


def test_files_are_dropped_on_the_window(window: Window, qtbot: QtBot, hero: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(hero))])
    copy = Qt.DropAction.CopyAction
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(QPoint(300, 300), copy, mime, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(300, 300), copy, mime, left, none))
    qtbot.waitUntil(lambda: len(window.session.project.characters) == 2, timeout=20000)
    assert window.session.document.undo_label == "Import hero.png"


def test_what_is_dragged_out_of_the_library_makes_room(window: Window, qtbot: QtBot) -> None:
    listed, sheet = window.library.list, window.timeline.sheet
    listed.choose("media", "source")
    mime = listed.model().mimeData([listed.currentIndex()])
    window.actions_["snap"].setChecked(False)
    at = QPointF(sheet.state.span.x(40), 100)
    copy, none, left = (
        Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton,
    )  # fmt: skip
    QApplication.sendEvent(sheet, QDragEnterEvent(at.toPoint(), copy, mime, left, none))
    QApplication.sendEvent(sheet, QDropEvent(at, copy, mime, left, none))
    assert [clip.at for clip in window.session.project.clips] == [0, 40, 160]


def test_what_is_missing_is_said(window: Window, qtbot: QtBot) -> None:
    Path(window.session.project.sources[0].path).unlink()
    window.projects._look_for_missing()
    settle(qtbot)
    assert window.timeline.sheet.state.contents.clips[0].missing
    assert window.projects.missing[0].name == "waving.npz"


def test_saved_projects_are_opened_again(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    window.go_to(30)
    window.actions_["marker"].trigger()
    project, path = window.session.project, tmp_path / "dance.marionext"
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.projects.save_as(path)
    assert not window.session.document.dirty
    assert window.top.name.text() == "dance"
    assert window.settings.recent == (str(path),)
    window.projects.reset_to_empty()
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.projects.open(path)
    assert window.session.project == project


def test_a_damaged_project_is_refused_and_what_is_open_stays(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    damaged, before = tmp_path / "damaged.marionext", window.session.project
    damaged.write_text('{"schema": "marionext.project",\n "version": 1, "clips": [')
    told: list[str] = []
    window.session.told.connect(lambda _tone, words: told.append(words))
    window.projects.open(damaged)
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert told == ["expected a project, damaged.marionext breaks off in line 2"]
    assert window.session.project is before
    box = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox))
    box.reject()
    assert damaged.read_text().endswith("[")


def test_a_second_window_looks_and_saves_under_another_name(
    window: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mine = tmp_path / "dance.marionext", tmp_path / "mine.marionext"
    save_as(window.session.project, path).close()
    held = open_project(path)[1]
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.projects.open(path)
    assert "read only" in window.projects.words
    window.go_to(30)
    window.actions_["marker"].trigger()
    theirs = path.read_bytes()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(mine), ""))
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.actions_["save"].trigger()
    assert path.read_bytes() == theirs
    assert read_project(mine).markers
    assert not window.session.document.dirty
    held.close()


def test_a_disk_that_is_full_keeps_the_work_in_the_window(
    window: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dance.marionext"
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.projects.save_as(path)
    before = path.read_bytes()
    window.go_to(30)
    window.actions_["marker"].trigger()
    told: list[str] = []
    window.session.told.connect(lambda _tone, words: told.append(words))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        window.actions_["save"].trigger()
        qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert "the disk is full" in told[0]
    assert path.read_bytes() == before
    assert window.session.document.dirty
    next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox)).reject()
    with qtbot.waitSignal(window.projects.opened, timeout=5000):
        window.actions_["save"].trigger()
    assert read_project(path).markers


def test_queue_cards_offer_what_can_be_done(window: Window) -> None:
    asked: list[tuple[str, str]] = []
    window.queue.asked.disconnect()
    window.queue.asked.connect(lambda what, name: asked.append((what, name)))
    window.queue.show_jobs([JobCard(id="7", title="Hero · v1", words="waits", state="waiting")])
    card = window.queue._cards["7"]
    card._buttons[-1].click()
    assert asked == [("cancel", "7")]
    done = JobCard(id="7", title="Hero · v1", words="", state="failed", right="failed")
    window.queue.show_jobs([done])
    assert [button.toolTip() for button in card._buttons] == ["Try again", "Log"]


def test_keys_are_changed_in_the_editor(window: Window, qtbot: QtBot) -> None:
    dialog = KeysDialog(window, "editor", {})
    qtbot.addWidget(dialog)
    dialog.choose("blade")
    dialog.edit.setKeySequence("Ctrl+Alt+J")
    dialog._change()
    assert dialog.changed == {"blade": ("Ctrl+Alt+J",)}
    assert keys_of("blade", "editor", dialog.changed) == ("Ctrl+Alt+J",)
    dialog.choose("marker")
    dialog.edit.setKeySequence("Ctrl+Alt+J")
    dialog._change()
    assert "Cut at the playhead" in dialog.words.text()
    dialog._reset_all()
    assert dialog.changed == {}


def test_an_export_says_which_frames_are_not_rendered(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    dialog = ExportDialog(window, window.session.project, tmp_path, "dance")
    qtbot.addWidget(dialog)
    assert not dialog.ok.isEnabled()
    assert "not rendered" in dialog.words.text()
    dialog.kind.choose("otio")
    dialog._propose()
    assert dialog.ok.isEnabled()


def test_the_projects_rate_is_checked_as_it_is_typed(window: Window, qtbot: QtBot) -> None:
    dialog = ProjectDialog(window, window.session.project)
    qtbot.addWidget(dialog)
    dialog.rate.setEditText("fast")
    assert not dialog.ok.isEnabled()
    dialog.rate.setEditText("60")
    assert dialog.project().clips[0].count == 240


def test_help_names_the_keys_in_force(window: Window) -> None:
    for space in ("edit", "clean", "render"):
        page = help_page(space, window.actions_)
        assert "{key:" not in page
    window.actions_.give_keys("editor", {"play": ("F9",)})
    assert "**F9** plays" in help_page("edit", window.actions_)


def test_settings_survive_what_they_do_not_know(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    write_settings(UserSettings(theme="light", recent=("a",)), path)
    assert read_settings(path).theme == "light"
    path.write_text('{"theme": "purple", "recent": ["b"], "unheard": 1}')
    settings = read_settings(path)
    assert (settings.theme, settings.recent) == ("system", ("b",))
    path.write_text("{")
    assert read_settings(path) == UserSettings()


def test_the_scheme_is_changed_while_the_window_is_open(window: Window) -> None:
    dark = window.grab().toImage().pixelColor(10, 10)
    theme().apply("light")
    QApplication.processEvents()
    assert window.grab().toImage().pixelColor(10, 10) != dark
    theme().apply("dark")


def test_the_watchdog_counts_a_stall(window: Window, qtbot: QtBot) -> None:
    settle(qtbot)
    window.watchdog.reset()
    time.sleep(0.12)
    settle(qtbot, 40)
    assert window.watchdog.stalls >= 1
    assert window.watchdog.worst >= 80


def said() -> set[str]:
    """Return all that the window says, by its sources."""
    found: set[str] = set()
    for path in Path(marionext_desktop.ui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "say"
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    names = (name.replace("_", " ").capitalize() for name in (*POINT_NAMES, *LIMBS))
    points = {re.sub(r" \d+$", "", name) for name in names}
    forms = {words for words, _ in exporting.FORMS.values()}
    return found | {command.words for command in COMMANDS.values()} | points | forms


@pytest.mark.parametrize("space", ["edit", "clean", "render"])
def test_help_is_there_in_chinese_with_the_same_keys(space: str) -> None:
    folder = resources.files("marionext_desktop.ui.help")
    english, chinese = (
        re.findall(r"\{key:\w+\}", folder.joinpath(f"{space}.{each}.md").read_text("utf-8"))
        for each in ("en", "zh")
    )
    assert sorted(english) == sorted(chinese)


def test_all_that_is_said_is_said_in_chinese() -> None:
    missing = sorted(said() - set(CHINESE))
    assert not missing, missing


def test_translations_keep_their_values() -> None:
    for english, chinese in CHINESE.items():
        fields = {part.split("}")[0] for part in english.split("{")[1:]}
        assert fields == {part.split("}")[0] for part in chinese.split("{")[1:]}, english


def test_words_are_in_the_language_that_was_chosen() -> None:
    words.use("zh")
    try:
        assert words.say("Undo") != "Undo"
        assert words.say("frame {frame} / {length}", frame=1, length=2).count("1") == 1
    finally:
        words.use("en")
