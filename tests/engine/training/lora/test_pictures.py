"""The pictures a LoRA is learned from, in the forms that people have them in, good and bad."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.engine.backends.pictures import tiny
from tests.engine.training.lora.conftest import write_picture

from marionext.cli import main
from marionext.errors import CharacterError, SettingsError
from marionext.protocol import Log
from marionext.training.lora.framing import frame_of
from marionext.training.lora.picture_list import PictureEntry, find_pictures
from marionext.training.reports import Report

Trainer = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_captions_lie_beside_pictures_or_are_the_name_of_a_repeated_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", words="a red\ncoat\n")
    write_picture(tmp_path / "b.webp", words=None)
    write_picture(tmp_path / "10_ink hero" / "c.jpg", words=None)
    write_picture(tmp_path / "10_ink hero" / "d.png", words="hat")
    write_picture(tmp_path / ".cache" / "e.png")
    assert find_pictures(tmp_path) == (
        PictureEntry(picture="10_ink hero/c.jpg", words="ink hero", repeats=10),
        PictureEntry(picture="10_ink hero/d.png", words="hat", repeats=10),
        PictureEntry(picture="a.png", words="a red coat"),
        PictureEntry(picture="b.webp"),
    )


def test_a_list_of_hugging_faces_form_decides_what_is_used(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_picture(tmp_path / f"{name}.png", words="not this")
    rows = [
        {"file_name": "a.png", "text": "one", "other": 3},
        {"file_name": "b.png", "caption": "two", "held_out": True},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    wanted = (
        PictureEntry(picture="a.png", words="one"),
        PictureEntry(picture="b.png", words="two", held_out=True),
    )
    assert find_pictures(tmp_path) == wanted
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "metadata.csv").write_text("file_name,text,held_out\na.png,one,\nb.png,two,true\n")
    assert find_pictures(tmp_path) == wanted


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: cannot be read as JSON"),
        ("[]", "line 1: expected an object"),
        ('{"text": "a"}', "line 1: expected a file_name"),
        ('{"file_name": "a.png", "text": 3}', "line 1: expected a text"),
        ('{"file_name": "a.png", "repeats": "often"}', "expected repeats as a number"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(SettingsError, match=words):
        find_pictures(tmp_path)


def test_pictures_keep_their_shape_and_lose_little() -> None:
    frame = frame_of((1200, 800), (512, 512), 8, buckets=True)
    assert frame.size == (576, 384)
    assert frame.lost < 0.01
    square = frame_of((1200, 800), (512, 512), 8, buckets=False)
    assert square.size == (512, 512)
    assert square.lost == pytest.approx(1 / 3, abs=0.01)
    assert square.conditions == (800, 1200, 0, 128, 512, 512)
    with pytest.raises(CharacterError, match=r"enlarged 5\.1 times"):
        frame_of((100, 100), (512, 512), 8, buckets=True)


def test_what_cannot_be_used_is_left_out_and_said(
    tmp_path: Path, run_training: Trainer, reports: list[Report]
) -> None:
    data = tmp_path / "data"
    write_picture(data / "a.png", (200, 64))
    write_picture(data / "silent.png", words=None)
    (data / "broken.png").write_bytes(b"no picture")
    write_picture(data / "small.png", (64, 64))
    Image.new("RGB", (20, 20)).save(data / "tiny.png")
    run_training(tmp_path / "out", 1, run={"data": data}, size=(80, 80), trigger="ink")
    told = [event.text for event in reports if isinstance(event, Log)]
    for words in (
        "broken.png is left out: ", "tiny.png is left out: ", "small.png is enlarged 1.25 times",
        "3 of 5 pictures have no caption", "too few to set one aside", "cut off is at most",
    ):  # fmt: skip
        assert any(words in text for text in told), words
    record = json.loads((tmp_path / "out" / "data.json").read_text())
    assert {each["name"] for each in record["skipped"]} == {"broken.png", "tiny.png"}
    assert {each["words"] for each in record["learned"]} == {"ink, red", "ink"}


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--base", "sd15", "--base", "sdxl", "--data", "nowhere"], 2, "--base: expected one"),
        (["--base", "sd15", "--data", "nowhere"], 4, "marionext models pull sd15"),
        (["--base", "{sd15}", "--data", "nowhere"], 3, "not there"),
        (["--base", "{sd15}", "--data", "{empty}"], 3, "expected pictures to learn from"),
        (["--base", "{sd15}", "--data", "{silent}"], 2, "none of the 1 pictures"),
        (["--base", "{sd15}", "--data", "{silent}", "--window", "3"], 2, "--window is for"),
        (["--base", "{sd15}", "--data", "{silent}", "--rank", "0"], 2, "rank: expected at least 1"),
        (["--base", "puppet", "--data", "{silent}"], 4, "this one renders motions"),
        (["--base", "{file}", "--data", "{silent}"], 4, "--config FOLDER"),
        (["--bundle", "sd15", "--data", "{silent}"], 4, "with --base sd15"),
        (["--data", "{silent}", "--trigger", "ink"], 2, "--trigger is for training on pictures"),
        (["--data", "{silent}"], 3, "--base"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tiny_base: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    places = {"sd15": tiny_base("sd15"), "empty": tmp_path, "silent": tmp_path / "silent"}
    write_picture(places["silent"] / "a.png", words=None)
    if "{file}" in options:
        wide = tiny.make_sd15(tmp_path / "wide", width=768)  # by which a file is known
        places["file"] = tiny.make_checkpoint(tmp_path / "base.safetensors", wide)
    if "{empty}" in options:
        places["empty"] = tmp_path / "nothing"
        places["empty"].mkdir()
    given = [option.format(**places) for option in options]
    assert main(["train", "--out", str(tmp_path / "out"), *given]) == status
    assert words in capsys.readouterr().err


def test_a_lora_is_trained_and_used_from_the_command_line(
    tmp_path: Path, pictures: Path, tiny_base: Callable[[str], Path]
) -> None:
    base, out = str(tiny_base("sd15")), tmp_path / "ink"
    arguments = [
        "train", "--base", base, "--data", str(pictures), "--out", str(out), "--size", "32x32",
        "--rank", "2", "--rate", "0.1", "--warm-up", "0", "--steps", "2", "--sample", "red",
        "--device", "cpu", "--flip", "--no-buckets", "--preview-every", "2",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert (out / "previews" / "000002.png").is_file()
    image = ["image", "--base", base, "--prompt", "red", "--size", "32x48", "--steps", "2"]
    lora = str(out / "lora" / "ink.safetensors")
    assert main([*image, "--out", str(tmp_path / "plain"), "--device", "cpu"]) == 0
    used = [*image, "--lora", f"{lora}:0.8", "--out", str(tmp_path / "ink-made"), "--device", "cpu"]
    assert main(used) == 0
    one, other = (tmp_path / name / "pictures" / "000001.png" for name in ("plain", "ink-made"))
    assert one.read_bytes() != other.read_bytes()
