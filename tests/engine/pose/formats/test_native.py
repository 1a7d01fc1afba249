import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError, OutputError
from marionext.pose import Origin
from marionext.pose.formats import read_native, write_native
from marionext.pose.formats.native import NATIVE_VERSION

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def written(dancer, tmp_path):
    """A track and the file it was written to."""
    track = dancer(frames=4)
    write_native(track, tmp_path / "dance.npz")
    return track, tmp_path / "dance.npz"


@quick
@given(data=st.data())
def test_what_was_written_is_read_to_the_last_bit(data, random_tracks, assert_same, tmp_path):
    track = data.draw(random_tracks(least_people=0, tidy=False))
    write_native(track, tmp_path / "a.npz")
    assert_same(track, read_native(tmp_path / "a.npz"))


def test_the_same_track_is_the_same_bytes(written, tmp_path):
    track, path = written
    write_native(track, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_track_remembers_that_it_was_cleaned_and_older_files_are_as_they_were(written, tmp_path):
    track, path = written
    with np.load(path) as archive:
        assert "cleaned" not in archive
    assert not read_native(path).cleaned
    write_native(track.with_(cleaned=True), tmp_path / "cleaned.npz")
    assert read_native(tmp_path / "cleaned.npz").cleaned


def test_numpy_opens_it_without_pickles(written):
    _, path = written
    with np.load(path, allow_pickle=False) as archive:
        assert set(archive) >= {"points", "scores", "size", "rate", "first", "version"}
        assert str(archive["rate"]) == "30"
        assert archive["points"].shape == (4, 1, 134, 2)


def test_arrays_of_other_programs_will_do(written, tmp_path):
    track, _ = written
    np.savez(
        tmp_path / "other.npz",
        points=track.points.astype(np.float64),
        scores=track.scores,
        size=np.array([576, 1024]),
        rate=np.array("29.97"),
    )
    read = read_native(tmp_path / "other.npz")
    assert (read.points == track.points).all()
    assert (str(read.rate), read.first) == ("30000/1001", 0)


@quick
@given(cut=st.floats(0, 0.999))
def test_a_truncated_file_is_a_clear_error(cut, written, tmp_path):
    content = written[1].read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(MotionError, match=r"cut\.npz"):
        read_native(path)


@quick
@given(place=st.floats(0, 1), value=st.integers(0, 255))
def test_a_damaged_byte_is_an_error_or_harmless(place, value, written, tmp_path):
    content = bytearray(written[1].read_bytes())
    content[int(place * (len(content) - 1))] = value
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with contextlib.suppress(MotionError):
        assert len(read_native(path)) == 4


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"])
def test_something_else_is_a_clear_error(content, tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(MotionError, match=r"expected a pose track"):
        read_native(path)


def test_an_archive_of_other_arrays_says_which(tmp_path):
    np.savez(tmp_path / "a.npz", joints=np.zeros(3), scores=np.zeros(3))
    with pytest.raises(MotionError, match=r"points, size, rate missing, found: joints, scores"):
        read_native(tmp_path / "a.npz")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "b.npz").write_bytes(buffer.getvalue())
    with pytest.raises(MotionError, match="expected a pose track"):
        read_native(tmp_path / "b.npz")


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.array([object()]), scores=0, size=0, rate="1")
    with pytest.raises(MotionError, match="pickle"):
        read_native(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("version", np.array(NATIVE_VERSION + 1), "version"),
        ("version", np.array([1, 2]), "version"),
        ("version", np.array("one"), "version"),
        ("rate", np.array("fast"), "frame rate"),
        ("size", np.array([1, 2, 3]), "sound"),
        ("size", np.array(["a", "b"]), "sound"),
        ("first", np.array([1, 2]), "sound"),
        ("points", np.zeros((4, 1, 18, 2)), "134"),
        ("points", np.full((4, 1, 134, 2), np.nan), "not finite"),
        ("scores", np.array("x"), "sound"),
        ("cleaned", np.array([1, 0]), "sound"),
    ],
)
def test_unsound_contents_are_told(written, tmp_path, name, value, message):
    with np.load(written[1]) as archive:
        arrays = dict(archive) | {name: value}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(MotionError, match=message) as caught:
        read_native(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(MotionError, match="there is no"):
        read_native(tmp_path / "none.npz")


def test_nothing_is_left_behind_when_writing_fails(dancer, tmp_path):
    blocked = tmp_path / "folder.npz"
    blocked.mkdir()
    with pytest.raises(OutputError, match=r"folder\.npz"):
        write_native(dancer(frames=1), blocked)
    assert list(tmp_path.iterdir()) == [blocked]


def test_an_older_file_is_replaced_whole(written):
    track, path = written
    write_native(track.with_(first=50), path)
    assert read_native(path).first == 50
    assert zipfile.is_zipfile(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_where_points_come_from_is_kept(written):
    track, path = written
    plain = path.read_bytes()
    origins = track.origins.copy()
    origins[0, 0, 3], origins[1, 0, 7] = Origin.FILLED, Origin.BY_HAND
    write_native(track.with_(origins=origins), path)
    assert (read_native(path).origins == origins).all()
    # A track of detected points alone is written as it always was.
    write_native(track, path)
    assert path.read_bytes() == plain
    with zipfile.ZipFile(path) as archive:
        assert "origins.npy" not in archive.namelist()


def test_origins_that_cannot_be_are_refused(written):
    track, path = written
    for wrong in (np.full(track.scores.shape, 9), np.zeros((1, 2)), np.array("x")):
        arrays = dict(np.load(path))
        np.savez(path, **{**arrays, "origins": wrong})
        with pytest.raises(MotionError, match=r"origin|sound"):
            read_native(path)
        write_native(track, path)
