"""Make Character: words become a picture, which joins the project."""

from pathlib import Path

from pytestqt.qtbot import QtBot

from marionext_desktop.model.making import CharacterWish
from marionext_desktop.ui.making_control import MakeCharacterDialog
from marionext_desktop.ui.window import Window


def test_a_picture_from_words_and_a_pose_joins_the_project(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    window.making.maker._folder = tmp_path / "made"
    before = len(window.session.project.characters)
    with qtbot.waitSignal(window.making.maker.made, timeout=60_000) as made:
        window.making.make(CharacterWish(prompt="- dancer", base="figurine", steps=1), posed=True)
    (pictures,) = made.args
    assert all(path.is_file() for path in pictures)
    assert pictures[0].with_suffix(".pose.npz").is_file(), "it stands in the pose that is shown"
    qtbot.waitUntil(lambda: len(window.session.project.characters) > before, timeout=10_000)
    window.session.document.undo()
    assert len(window.session.project.characters) == before
    assert pictures[0].is_file(), "files stay where they are"


def test_what_goes_wrong_is_told_in_the_engines_words(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    window.making.maker._folder = tmp_path / "made"
    told: list[tuple[str, str]] = []
    window.session.told.connect(lambda tone, words: told.append((tone, words)))
    with qtbot.waitSignal(window.making.maker.failed, timeout=60_000):
        window.making.make(CharacterWish(prompt="a dancer", base=str(tmp_path)), posed=True)
    assert told[-1][0] == "bad"
    assert str(tmp_path) in told[-1][1]
    assert not window.making.maker.busy


def test_the_dialog_wants_words_and_offers_the_pose(window: Window, qtbot: QtBot) -> None:
    window.actions_["make_character"].trigger()
    dialog = window.findChild(MakeCharacterDialog)
    qtbot.waitUntil(dialog.isVisible)
    assert not dialog.ok.isEnabled()
    assert dialog.posed.isChecked()
    dialog.prompt.setText("a dancer in a red coat")
    assert dialog.ok.isEnabled()
    dialog.base.setEditText("/models/mine.safetensors")
    wish = dialog.wish()
    assert (wish.prompt, wish.base) == ("a dancer in a red coat", "/models/mine.safetensors")
    dialog.reject()
