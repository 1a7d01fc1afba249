"""The text of a BVH: a row is a frame, whatever the layout; what does not add up names its line."""

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion import load
from marionext.motion.bvh_text import parse_bvh

HIERARCHY = """HIERARCHY
ROOT Hips
{
  OFFSET 0.5 90.5 0.5
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Head
  {
    OFFSET 0.5 60.5 0.5
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0.5 20.5 0.5
    }
  }
}
MOTION
"""
CHANNELS = 9
FIRST_ROW = HIERARCHY.count("\n") + 3
ROWS = [" ".join(f"{frame}.{column}" for column in range(1, CHANNELS + 1)) for frame in range(1, 5)]
VALUES = np.array([row.split() for row in ROWS], dtype=float)


def write(path: Path, rows: list[str], *, frames: int = 4, time: str = "0.0333333") -> Path:
    text = f"{HIERARCHY}Frames: {frames}\nFrame Time: {time}\n" + "\n".join(rows) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), frames=st.integers(1, 6))
def test_rows_may_be_broken_or_joined_where_frames_still_add_up(
    tmp_path: Path, data: st.DataObject, frames: int
) -> None:
    numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: f"{number:.4f}")
    table = data.draw(
        st.lists(st.lists(numbers, min_size=9, max_size=9), min_size=frames, max_size=frames)
    )
    if data.draw(st.booleans()):
        size = data.draw(st.sampled_from([n for n in range(1, frames + 1) if frames % n == 0]))
        rows = [
            " ".join(word for row in table[start : start + size] for word in row)
            for start in range(0, frames, size)
        ]
    else:
        cuts = data.draw(st.sets(st.integers(1, CHANNELS - 1), min_size=1))
        places = [0, *sorted(cuts), CHANNELS]
        rows = [" ".join(row[a:b]) for row in table for a, b in pairwise(places)]
    blank = data.draw(st.integers(0, len(rows)))
    rows.insert(blank, "   ")
    text = parse_bvh(write(tmp_path / "laid_out.bvh", rows, frames=frames))
    np.testing.assert_array_equal(text.values, np.array(table, dtype=float))
    assert len(text.notes) == 1, "nothing but the rate is worth a word"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 3), change=st.sampled_from([-4, -2, -1, 1, 2, 5]), at=st.integers(0, 8))
def test_a_row_that_is_too_short_or_too_long_is_named(
    tmp_path: Path, row: int, change: int, at: int
) -> None:
    rows = [line.split() for line in ROWS]
    if change < 0:
        del rows[row][min(at, CHANNELS + change) :][: -change or None]
        rows[row] = rows[row][: CHANNELS + change]
        rows[row] += ["9.5"] * (CHANNELS + change - len(rows[row]))
    else:
        rows[row][at:at] = ["7.5"] * change
    path = write(tmp_path / "wrong.bvh", [" ".join(line) for line in rows])
    with pytest.raises(MotionError) as error:
        parse_bvh(path)
    assert f"line {FIRST_ROW + row}:" in error.value.message
    if row < 3 or change > 0:
        assert f"expected a row of 9 numbers, one for each channel, found {9 + change}" in str(
            error.value
        )
        assert "Frames:" not in str(error.value.hint), "the number of frames is not what is wrong"


def test_rows_of_half_the_numbers_are_no_broken_rows(tmp_path: Path) -> None:
    even = HIERARCHY.replace(
        "CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 2 Zrotation Xrotation"
    )
    path = tmp_path / "half.bvh"
    path.write_text(even + "Frames: 4\nFrame Time: .04\n" + "1 2 3 4\n" * 4)
    with pytest.raises(MotionError, match=r"line 19: expected a row of 8 numbers.* found 4"):
        parse_bvh(path)


def test_rows_that_all_have_more_numbers_are_cut_and_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "long.bvh", [f"{row} 7.5 8.5 9.5" for row in ROWS])
    text = parse_bvh(path)
    np.testing.assert_array_equal(text.values, VALUES)
    assert any(
        note == f"line {FIRST_ROW}: each row has 12 numbers, the joints have 9 channels: "
        "the last 3 of each row are left out"
        for note in text.notes
    )


def test_numbers_without_a_space_between_them_are_named(tmp_path: Path) -> None:
    rows = [*ROWS]
    rows[2] = rows[2].replace("3.4 3.5", "3.4-3.5")
    path = write(tmp_path / "glued.bvh", rows)
    with pytest.raises(
        MotionError,
        match=rf"line {FIRST_ROW + 2}: .* found 8; '3.4-3.5' is 2 numbers without a space",
    ):
        parse_bvh(path)
    rows[2] += " 1.5"
    with pytest.raises(MotionError, match=rf"line {FIRST_ROW + 2}: .*'Hips', found '3.4-3.5'"):
        parse_bvh(write(path, rows))


def test_rows_after_the_last_frame_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    text = parse_bvh(write(tmp_path / "more.bvh", ROWS, frames=3))
    np.testing.assert_array_equal(text.values, VALUES[:3])
    assert f"1 row after the last of 3 frames left out (line {FIRST_ROW + 3})" in text.notes
    text = parse_bvh(write(tmp_path / "more.bvh", [" ".join(ROWS)], frames=3))
    assert "1 frames after the last of 3 left out" in text.notes


def test_a_file_that_is_cut_off_can_be_used_up_to_there(tmp_path: Path) -> None:
    with pytest.raises(MotionError, match=r"found the end of the file after 2 frames") as error:
        parse_bvh(write(tmp_path / "cut.bvh", ROWS[:2]))
    assert f"change line {FIRST_ROW - 2} to 'Frames: 2'" in str(error.value.hint)
    with pytest.raises(MotionError, match=r"within a row, after 2 frames") as error:
        parse_bvh(write(tmp_path / "cut.bvh", [*ROWS[:2], "3.1 3.2"]))
    assert f"take out line {FIRST_ROW + 2} and what follows" in str(error.value.hint)


def with_commas(text: str) -> str:
    return re.sub(r"(\d)\.(\d)", r"\1,\2", text)


@pytest.mark.parametrize("time", ["0.0333333", "0,0333333"])
def test_decimal_commas_are_points(tmp_path: Path, time: str) -> None:
    path = write(tmp_path / "commas.bvh", ROWS)
    plain = parse_bvh(path)
    path.write_text(with_commas(path.read_text()).replace("0,0333333", time))
    text = parse_bvh(path)
    np.testing.assert_array_equal(text.values, plain.values)
    assert [joint.offset for joint in text.joints] == [joint.offset for joint in plain.joints]
    assert text.rate == FrameRate(Fraction(30))
    assert any("decimal commas (from line 4 on)" in note for note in text.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.1 1.2", "1,1 1.2", r"line 19 has numbers with commas, line 4 with points"),
        ("0.5 90.5 0.5", "0.5, 90.5, 0.5", r"line 4: expected an offset of 3 numbers"),
        ("0.5 90.5 0.5", "0.5,90.5,0.5", r"line 4: expected an offset of 3 numbers"),
    ],
)
def test_commas_that_may_be_anything_are_refused_with_a_remedy(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write(tmp_path / "mixed.bvh", ROWS)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MotionError, match=message) as error:
        parse_bvh(path)
    assert "decimal points and spaces" in str(error.value.hint)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp932"])
@pytest.mark.parametrize("name", ["motion.bvh", "motion.txt"])
def test_text_of_other_encodings_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    text = path.read_text().replace("Head", "頭")
    path.write_bytes(text.encode(encoding))
    assert load(path).names == ("Hips", "頭")


def test_text_in_utf_16_that_is_cut_off_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.bvh", ROWS)
    path.write_bytes(path.read_text().encode("utf-16")[:-1])
    with pytest.raises(MotionError, match="UTF-16") as error:
        parse_bvh(path)
    assert "UTF-8" in str(error.value.hint)


@pytest.mark.parametrize("site", ["EndSite", "END SITE", "End_Site", "End site", "endsite"])
def test_an_end_site_may_be_one_word(tmp_path: Path, site: str) -> None:
    path = write(tmp_path / "end.bvh", ROWS)
    path.write_text(path.read_text().replace("End Site", site))
    assert parse_bvh(path).joints[1].end == (0.5, 20.5, 0.5)


def test_a_frame_time_of_nothing_has_a_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "zero.bvh", ROWS, time="0")
    with pytest.raises(MotionError, match="seconds above 0") as error:
        load(path)
    assert "--source-rate 30" in str(error.value.hint)
    declared = load(path, source_rate=FrameRate(Fraction(30)))
    assert (len(declared), declared.rate) == (4, FrameRate(Fraction(30)))


@pytest.mark.parametrize("time", ["1", "0.0333333", "0", "soon", "0.04"])
def test_a_declared_rate_takes_the_place_of_the_files(tmp_path: Path, time: str) -> None:
    path = write(tmp_path / "declared.bvh", ROWS, time=time)
    rate = FrameRate(Fraction(24))
    declared = load(path, source_rate=rate)
    assert (len(declared), declared.rate) == (4, rate)
    assert any(note.startswith("24 frames per second, as declared") for note in declared.notes)
    twice = load(path, source_rate=rate, rate=FrameRate(Fraction(48)))
    np.testing.assert_allclose(twice.heads[::2], declared.heads, atol=1e-9)


@pytest.mark.parametrize(("time", "unusual"), [("1", True), ("0.0001", True), ("0.04", False)])
def test_rates_that_hardly_any_motion_has_are_worth_a_word(
    tmp_path: Path, time: str, *, unusual: bool
) -> None:
    note = parse_bvh(write(tmp_path / "odd.bvh", ROWS, time=time)).notes[0]
    assert ("--source-rate" in note) == unusual
