import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from marionext.doll import DollDrawer, Layer, read_doll, write_doll
from marionext.errors import CharacterError


@pytest.fixture
def folder(doll_of, tmp_path):
    write_doll(doll_of(), tmp_path / "hero.doll")
    return tmp_path / "hero.doll"


@pytest.fixture
def drawn(clip_of):
    def draw(doll):
        clip = clip_of()
        return DollDrawer([doll], clip.size).draw(clip.points[1], clip.scores[1])

    return draw


def picture_of(path):
    with Image.open(path) as opened:
        return opened.copy()


def test_a_doll_read_back_draws_the_same(doll_of, drawn, folder):
    one, two = drawn(doll_of()), drawn(read_doll(folder))
    # Keypoints are written to a thousandth of a pixel.
    assert np.abs(one.picture.astype(int) - two.picture).max() <= 2
    assert (one.parts != two.parts).mean() < 0.001


def test_all_layers_lie_over_each_other_on_one_canvas(folder):
    sizes = {picture_of(path).size for path in folder.rglob("*.png")}
    assert len(sizes) == 1


def test_a_layer_mended_by_hand_is_used(clip_of, drawn, folder):
    pixels = np.array(picture_of(folder / "trunk.png"))
    pixels[..., :3] = (255, 0, 255)
    Image.fromarray(pixels).save(folder / "trunk.png")
    clip = clip_of()
    frame = drawn(read_doll(folder))
    x, y = clip.points[1, 0, [1, 8, 11]].mean(axis=0).astype(int)
    assert tuple(frame.picture[y, x]) == (255, 0, 255)


def test_a_layer_rubbed_out_by_hand_is_not_drawn(folder):
    empty = Image.new("RGBA", picture_of(folder / "trunk.png").size)
    empty.save(folder / "trunk.png")
    assert all(layer.part != "trunk" for layer in read_doll(folder).layers)


def test_a_missing_file_is_named(folder):
    (folder / "left_shin.png").unlink()
    with pytest.raises(CharacterError, match=r"left_shin\.png"):
        read_doll(folder)


def test_what_was_seen_may_be_missing(folder):
    shutil.rmtree(folder / "seen")
    assert all((layer.seen == 255).all() for layer in read_doll(folder).layers)


def test_a_layer_of_another_size_is_refused_with_both_sizes(folder):
    picture_of(folder / "head.png").resize((20, 30)).save(folder / "head.png")
    with pytest.raises(CharacterError, match="20x30") as caught:
        read_doll(folder)
    assert "whole canvas" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"doll": 99}, "version 99"),
        ({"doll": "x"}, "version"),
        ({"size": [1, 2, 3]}, "size"),
        ({"size": [1e99, 5]}, "size"),
        ({"size": [4000, 4000]}, "not within the layers"),
        ({"corner": [5, 5]}, "corner"),
        ({"points": [[1, 2]]}, "points"),
        ({"points": "x"}, "points"),
        ({"scores": [None] * 134}, "scores"),
        ({"hem": -1}, "hem"),
        ({"hem": "low"}, "hem"),
        ({"shadow": {"dark": 1}}, "shadow"),
        ({"layers": 7}, "layers"),
        ({"layers": [3]}, "layers"),
        ({"layers": [{"part": "wing", "file": "trunk.png"}]}, "wing"),
        ({"layers": [{"part": "trunk", "file": "../trunk.png"}]}, "name of a picture"),
        ({"layers": [{"part": "trunk", "file": "trunk.png", "view": "below"}]}, "below"),
        ({"background": None}, "name of a picture"),
    ],
)
def test_a_wrong_description_is_told_what_is_wrong(folder, change, expected):
    told = json.loads((folder / "doll.json").read_text(encoding="utf-8"))
    (folder / "doll.json").write_text(json.dumps(told | change), encoding="utf-8")
    with pytest.raises(CharacterError, match=expected):
        read_doll(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(CharacterError, match=r"doll\.json"):
        read_doll(tmp_path)
    (tmp_path / "doll.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CharacterError, match="description of a doll"):
        read_doll(tmp_path)


def painted(layer, colour, view):
    pixels = layer.pixels.copy()
    pixels[..., :3] = colour
    return Layer(layer.part, pixels, layer.corner, layer.seen, view)


def test_views_made_by_hand_are_chosen_by_the_pose(clip_of, doll_of):
    doll, clip = doll_of(), clip_of()
    head = next(layer for layer in doll.layers if layer.part == "head")
    views = (painted(head, (0, 0, 250), "back"), replace(head, view="front"))
    own = replace(doll, layers=(*(layer for layer in doll.layers if layer.part != "head"), *views))
    drawer = DollDrawer([own], clip.size)
    points, scores = clip.points[0].copy(), clip.scores[0].copy()
    x, y = points[0, 0].astype(int)
    assert tuple(drawer.draw(points, scores).picture[y, x]) != (0, 0, 250)
    # Turned round: no face, left and right changed places.
    for one, two in ((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (16, 17)):
        points[0, [one, two]] = points[0, [two, one]]
    scores[0, 24:92] = 0
    scores[0, [0, 14, 15]] = 0
    assert tuple(drawer.draw(points, scores).picture[y, x]) == (0, 0, 250)
