"""A render's folder: one run at a time, nothing half written, the same render goes on."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from marionext.errors import OutputError
from marionext.files import (
    check_space,
    hash_files,
    read_bytes,
    replacing,
    sha256_of,
    write_json,
)
from marionext.frames import FrameRate, frame_name
from marionext.jobs import MotionSource, OutputSettings, PoseSettings, RenderJob, encode_job
from marionext.output import (
    FolderLock,
    FrameWriter,
    RenderFolder,
    encode_png,
    write_png,
)
from marionext.record import Record
from marionext.settings import SvdSettings

JOB = RenderJob(
    motion=MotionSource(path="dance.mp4"),
    character="hero.png",
    output=OutputSettings(directory="out"),
    model="puppet",
    settings=SvdSettings(),
)
ROOT_CAN_WRITE_ANYWHERE = hasattr(os, "geteuid") and os.geteuid() == 0


def picture(seed: int, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    random = np.random.default_rng(abs(seed))
    return random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def plan(job: RenderJob = JOB, **changes: object) -> Record:
    values: dict[str, object] = {
        "job": encode_job(job),
        "inputs": {"motion": "a" * 64, "character": "b" * 64},
        "models": {"unet": "c" * 64},
        "size": (32, 24),
        "rate": FrameRate(Fraction(30000, 1001)),
        "numbers": (-1, 0, 1, 2),
        "computed": {"device": "cpu"},
    }
    return Record.start(**{**values, **changes})  # type: ignore[arg-type]


def test_frames_are_named_after_their_numbers_and_read_back_exactly(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path / "frames")
    digests = {number: writer.write(number, picture(number)) for number in (101, -5, 0, 1234567)}
    names = {path.name for path in (tmp_path / "frames").iterdir()}
    assert names == {"000101.png", "-00005.png", "000000.png", "1234567.png"}
    assert list(writer.existing()) == [-5, 0, 101, 1234567]
    assert frame_name(-5) == "-00005.png"
    for number in digests:
        seen = cv2.imread(str(writer.path(number)))[:, :, ::-1]
        assert np.array_equal(seen, picture(number))
    assert writer.intact(digests) == digests
    writer.path(0).write_bytes(b"changed")
    writer.remove(101)
    writer.remove(101)
    assert set(writer.intact(digests)) == {-5, 1234567}


def test_equal_pictures_give_equal_files_and_text_is_kept(tmp_path: Path) -> None:
    assert encode_png(picture(3)) == encode_png(picture(3))
    write_png(tmp_path / "a.png", picture(3), text={"Software": "Marionext", "Pose": "Tänzer"})
    from PIL import Image

    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.text == {"Software": "Marionext", "Pose": "Tänzer"}  # type: ignore[attr-defined]
        assert image.info["srgb"] == 0
        assert np.array_equal(np.asarray(image), picture(3))


def test_a_writer_clears_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / ".000001.png.77.part").write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"not ours")
    FrameWriter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.part"]


def test_a_folder_goes_on_where_it_was(tmp_path: Path) -> None:
    with RenderFolder(tmp_path / "out", plan()) as folder:
        assert not folder.resumed
        assert folder.missing == (-1, 0, 1, 2)
        (folder.state / "latents").write_bytes(b"kept")
        for number in (-1, 0, 1):
            folder.write_frame(number, picture(number))
        folder.keep(folder.record.with_stage("decode", 3, 4).with_note("size rounded"))
        (folder.path / "frames" / "000001.png").write_bytes(b"damaged")
    with RenderFolder(tmp_path / "out", plan()) as folder:
        assert folder.resumed
        assert folder.missing == (1, 2)
        assert folder.record.stage.name == "decode"
        assert folder.record.notes == ("size rounded",)
        assert (folder.state / "latents").read_bytes() == b"kept"
        for number in folder.missing:
            folder.write_frame(number, picture(number))
        folder.clear_state()
        folder.clear_state()
        assert folder.record.finished
        assert [path.name for path in folder.frames] == [
            "-00001.png", "000000.png", "000001.png", "000002.png",
        ]  # fmt: skip
    record = Record.read(tmp_path / "out" / "render.json")
    assert record.finished
    assert record.done[2] == sha256_of(tmp_path / "out" / "frames" / "000002.png")
    assert not (tmp_path / "out" / "state").exists()


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (plan(inputs={"motion": "d" * 64, "character": "b" * 64}), "file of the motion"),
        (plan(models={"unet": "d" * 64}), "unet"),
        (plan(computed={"device": "cuda"}), "device"),
        (plan(numbers=(1, 2)), "4 frames from -1"),
        (plan(replace(JOB, settings=SvdSettings(seed=7))), r"settings\.seed is 0, not 7"),
        (plan(replace(JOB, pose=PoseSettings(mirror=True))), r"pose\.mirror is False"),
    ],
)
def test_another_render_is_refused_unless_it_may_overwrite(
    tmp_path: Path, other: Record, word: str
) -> None:
    with RenderFolder(tmp_path, plan()) as folder:
        folder.write_frame(0, picture(0))
    with pytest.raises(OutputError, match=word) as caught:
        RenderFolder(tmp_path, other)
    assert "--overwrite" in str(caught.value)
    assert (tmp_path / "frames" / "000000.png").exists()
    with RenderFolder(tmp_path, other, overwrite=True) as folder:
        assert folder.missing == other.numbers
        assert not list((tmp_path / "frames").iterdir())


def test_what_changes_no_pixel_changes_no_identity() -> None:
    moved = replace(
        JOB,
        motion=replace(JOB.motion, path="/elsewhere/dance.mp4"),
        character="other/hero.png",
        model="/models/svd",
        output=OutputSettings(directory="there", videos=("gif",), audio=False),
        quality="draft",
    )
    assert plan(moved).identity == plan().identity
    assert plan(replace(JOB, frames="1-4")).identity != plan().identity


def test_frames_of_unknown_origin_are_not_touched(tmp_path: Path) -> None:
    FrameWriter(tmp_path / "frames").write(1, picture(1))
    with pytest.raises(OutputError, match=r"no render\.json speaks of"):
        RenderFolder(tmp_path, plan())
    assert (tmp_path / "frames" / "000001.png").exists()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "not the record"),
        ("[]", "not the record"),
        ('{"schema": "marionext.render", "version": 99}', "version 1 to 2, got 99"),
        ('{"schema": "marionext.render", "version": 1, "stepz": 3}', "stepz"),
    ],
)
def test_a_manifest_is_read_strictly(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "render.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=word):
        Record.read(path)
    with pytest.raises(OutputError):
        RenderFolder(tmp_path, plan())
    RenderFolder(tmp_path, plan(), overwrite=True).close()


def test_a_manifest_reads_back_what_it_wrote(tmp_path: Path) -> None:
    whole = plan().with_frame(-1, "e" * 64).with_stage("decode", 1, 4).with_video("a.mp4", "f" * 64)
    whole.write(tmp_path / "render.json")
    assert Record.read(tmp_path / "render.json") == whole
    assert whole.missing == (0, 1, 2)
    data = json.loads((tmp_path / "render.json").read_text())
    data["frames"] = {"one": "e" * 64}
    write_json(tmp_path / "render.json", data)
    with pytest.raises(OutputError, match="'one'"):
        Record.read(tmp_path / "render.json")


def test_a_source_is_known_by_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "poses"
    folder.mkdir()
    (folder / "1.json").write_text("{}")
    (folder / "2.json").write_text("[]")
    first = hash_files([folder / "1.json", folder / "2.json"])
    shutil.copytree(folder, tmp_path / "copy")
    assert hash_files([tmp_path / "copy" / "2.json", tmp_path / "copy" / "1.json"]) == first
    (folder / "1.json").rename(folder / "3.json")
    assert hash_files([folder / "2.json", folder / "3.json"]) != first
    assert hash_files([folder / "2.json"]) == sha256_of(folder / "2.json")


HOLD = """
import sys, time
from pathlib import Path
from marionext.output import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            with pytest.raises(OutputError, match=f"in use by another run.*{other.pid}"):
                RenderFolder(tmp_path, plan())
        finally:
            other.kill()
            other.wait()
        if hasattr(signal, "SIGKILL"):
            assert other.returncode == -signal.SIGKILL
    with FolderLock(tmp_path), pytest.raises(OutputError, match="in use"):
        FolderLock(tmp_path)
    FolderLock(tmp_path).release()


RENDER = """
import sys
from pathlib import Path
import numpy as np
from marionext.frames import FrameRate
from marionext.record import Record
from marionext.output import RenderFolder
plan = Record.start(
    job={}, inputs={}, models={}, size=(160, 120), rate=FrameRate.parse("24"),
    numbers=tuple(range(5000)),
)
with RenderFolder(Path(sys.argv[1]), plan) as folder:
    print(len(folder.missing), flush=True)
    for number in folder.missing:
        random = np.random.default_rng(number)
        folder.write_frame(number, random.integers(0, 256, (120, 160, 3), dtype=np.uint8))
"""


def test_a_run_killed_while_writing_leaves_whole_frames_and_a_whole_record(tmp_path: Path) -> None:
    left = 5000
    for seconds in (0.4, 0.15, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", RENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            found = int(run.stdout.readline())
            assert found <= left
            left = found
            time.sleep(seconds)
            run.kill()
        record = Record.read(tmp_path / "render.json")
        writer = FrameWriter(tmp_path / "frames")
        assert writer.intact(record.done) == record.done
        for number, path in writer.existing().items():
            random = np.random.default_rng(number)
            expected = random.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            assert path.read_bytes() == encode_png(expected)
    assert left < 5000


def test_a_refused_folder_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "render.json").write_text("nonsense")
    for _ in range(2):
        with pytest.raises(OutputError, match="not the record"):
            RenderFolder(tmp_path, plan())
    FolderLock(tmp_path).release()


def test_too_little_space_is_said_beforehand_with_what_is_missing(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 1)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OutputError, match=r"are missing") as caught:
        check_space(tmp_path / "not" / "yet", free + 10**12)
    assert "TB" in caught.value.message


FILL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from marionext.errors import OutputError
from marionext.output import FrameWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
writer = FrameWriter(Path(sys.argv[1]))
writer.write(1, np.zeros((8, 8, 3), np.uint8))
try:
    writer.write(2, np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are POSIX's")
def test_a_disk_that_fills_up_loses_only_the_frame_being_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "the disk is full or a limit on file sizes is reached" in done.stdout
    assert "needs 120" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["000001.png"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small disk can only be mounted by an administrator of Linux")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_with_what_is_missing(small_disk: Path) -> None:
    with RenderFolder(small_disk / "out", plan()) as folder:
        folder.write_frame(-1, picture(1))
        with pytest.raises(OutputError, match=r"disk is full.*needs .* kB.*missing"):
            folder.write_frame(0, picture(2, (300, 300)))
        assert folder.missing == (0, 1, 2)
        folder.write_frame(0, picture(0))
    assert Record.read(small_disk / "out" / "render.json").missing == (1, 2)


def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    with RenderFolder(small_disk / "out", plan()) as folder:
        folder.write_frame(0, picture(0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in (small_disk / "out", small_disk / "new"):
        with pytest.raises(OutputError, match="cannot be written: Read-only") as caught:
            RenderFolder(path, plan())
        assert "may write to" in str(caught.value)


@pytest.mark.skipif(ROOT_CAN_WRITE_ANYWHERE, reason="an administrator may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            RenderFolder(tmp_path / "out", plan())
    finally:
        tmp_path.chmod(0o700)


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="there is a file where a folder should be"):
        RenderFolder(tmp_path / "out", plan())
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "out" / "deeper" / "x.json", {})


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="/proc is Linux's")
def test_a_file_system_that_takes_no_files_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        RenderFolder(Path("/proc/marionext"), plan())


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", RenderFolder.FOLDERS)
def test_a_link_in_place_of_a_folder_of_ours_is_refused_and_left_alone(
    name: str, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "keep.txt").write_text("mine", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    (out / name).symlink_to(theirs)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=rf"{name} is a link to"):
            RenderFolder(out, plan(), overwrite=overwrite)
    assert (theirs / "keep.txt").read_text(encoding="utf-8") == "mine"
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    with RenderFolder(tmp_path / "linked", plan()) as folder:
        folder.write_frame(0, picture(0))
    assert (tmp_path / "elsewhere" / "frames" / "000000.png").is_file()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("kind", ["link", "hard link", "dead link", "pipe", "folder"])
def test_a_lock_that_is_not_ours_is_refused_and_its_target_kept(kind: str, tmp_path: Path) -> None:
    theirs, lock = tmp_path / "theirs.txt", tmp_path / "out" / ".marionext.lock"
    theirs.write_text("mine", encoding="utf-8")
    lock.parent.mkdir()
    make = {
        "link": lambda: lock.symlink_to(theirs),
        "hard link": lambda: lock.hardlink_to(theirs),
        "dead link": lambda: lock.symlink_to(tmp_path / "nothing"),
        "pipe": lambda: os.mkfifo(lock),
        "folder": lock.mkdir,
    }
    make[kind]()
    with pytest.raises(OutputError, match="lock file of Marionext's own"):
        FolderLock(lock.parent)
    assert theirs.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "name", ["../victim.mp4", "/victim.mp4", "a/../../victim.mp4", "C:\\v", ""]
)
def test_a_record_that_lists_files_elsewhere_is_none_and_nothing_is_removed(
    name: str, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.mp4"
    victim.write_text("mine", encoding="utf-8")
    out = tmp_path / "out"
    with RenderFolder(out, plan()) as folder:
        folder.keep(folder.record.with_video(name, "0" * 64))
    with pytest.raises(OutputError, match="not in its folder"):
        Record.read(out / "render.json")
    with RenderFolder(out, plan(), overwrite=True):
        assert victim.read_text(encoding="utf-8") == "mine"


def test_every_name_is_on_the_disk_before_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (order.append(kind_of(handle)), fsync(handle))[1]
    )
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (order.append("name"), rename(self, target))[1]
    )
    write_json(tmp_path / "a.json", {})
    with replacing(tmp_path / "b.npz") as temporary:
        temporary.write_bytes(b"b")
    assert order == ["file", "name", *(["folder"] if os.name != "nt" else [])] * 2


def kind_of(handle: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "pipe",
        Path("/dev/zero"),
        tmp_path,
        tmp_path / "nul\0",
        tmp_path / "no",
    ):
        with pytest.raises(OSError, match=r"regular|directory|such"):
            read_bytes(path)
    with pytest.raises(OSError, match="it is a pipe"):
        sha256_of(tmp_path / "pipe")
