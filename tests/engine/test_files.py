import io

import pytest
from PIL import Image

from marionext.files import is_cut_off


@pytest.mark.parametrize("kept", [11, 20, 40, 60, -13, -1])
def test_a_cut_png_is_told_from_a_whole_one(kept):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 60)).save(file, "PNG")
    whole = file.getvalue()
    assert not is_cut_off(whole)
    assert not is_cut_off(whole + b"something after it")
    assert is_cut_off(whole[:kept])


def test_a_part_that_claims_gigabytes_is_cut_off():
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "PNG")
    content = bytearray(file.getvalue())
    at = content.index(b"IDAT")
    content[at - 4 : at] = (0x7FFFFFFF).to_bytes(4, "big")
    assert is_cut_off(bytes(content))


def test_other_files_are_not_judged():
    assert not is_cut_off(b"")
    assert not is_cut_off(b"\xff\xd8\xff\xe0 a JPEG")
