"""The camera sees what Blender's camera sees."""

import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.motion import Camera

# A camera at (0, -5, 1) that looks along +y: its x is the world's x, its y the world's z.
FRONT = np.array([[1, 0, 0, 0], [0, 0, -1, -5], [0, 1, 0, 1], [0, 0, 0, 1]], dtype=np.float64)


def front(**changes: object) -> Camera:
    fields: dict[str, object] = {
        "views": np.linalg.inv(FRONT)[None],
        "focal": np.array([50 / 36]),
    }
    return Camera(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_point_looked_at_is_the_middle_of_the_picture_at_its_distance() -> None:
    pixels, depth = front().project(np.array([[[0.0, 0.0, 1.0]]]), (640, 480))
    np.testing.assert_allclose(pixels, [[[320, 240]]])
    np.testing.assert_allclose(depth, [[5]])


def test_right_is_right_and_up_is_up() -> None:
    pixels, _ = front().project(np.array([[[1.0, 0.0, 1.0], [0.0, 0.0, 2.0]]]), (640, 480))
    scale = 640 * 50 / 36 / 5
    np.testing.assert_allclose(pixels, [[[320 + scale, 240], [320, 240 - scale]]])


@pytest.mark.parametrize(
    ("fit", "size", "span"),
    [
        ("auto", (640, 480), 640),
        ("auto", (480, 640), 640),
        ("horizontal", (480, 640), 480),
        ("vertical", (640, 480), 480),
    ],
)
def test_the_field_of_view_belongs_to_the_fitted_side(
    fit: str, size: tuple[int, int], span: int
) -> None:
    pixels, _ = front(fit=fit).project(np.array([[[1.0, 0.0, 1.0]]]), size)
    np.testing.assert_allclose(pixels[0, 0, 0] - size[0] / 2, span * 50 / 36 / 5)


def test_shift_to_the_right_moves_the_picture_to_the_left() -> None:
    camera = front(shift=np.array([[0.1, 0.2]]))
    pixels, _ = camera.project(np.array([[[0.0, 0.0, 1.0]]]), (640, 480))
    np.testing.assert_allclose(pixels, [[[320 - 64, 240 + 128]]])


def test_an_orthographic_camera_does_not_care_about_distance() -> None:
    camera = front(scale=np.array([4.0]))
    pixels, depth = camera.project(np.array([[[1.0, 0.0, 1.0], [1.0, 9.0, 1.0]]]), (640, 480))
    np.testing.assert_allclose(pixels[0, :, 0], [480, 480])
    np.testing.assert_allclose(depth, [[5, 14]])


def test_what_is_behind_has_negative_depth_and_finite_pixels() -> None:
    points = np.array([[[0.0, -6.0, 1.0], [0.3, -5.0, 1.2]]])
    pixels, depth = front().project(points, (640, 480))
    np.testing.assert_allclose(depth, [[-1, 0]], atol=1e-12)
    assert np.isfinite(pixels).all()


def test_a_still_camera_serves_every_frame_and_a_moving_one_its_own() -> None:
    points = np.zeros((3, 2, 3))
    assert front().project(points, (64, 64))[0].shape == (3, 2, 2)
    with pytest.raises(MotionError, match=r"the camera has 2 frames, the motion 3"):
        front(views=np.repeat(np.linalg.inv(FRONT)[None], 2, axis=0), focal=np.ones(2)).project(
            points, (64, 64)
        )


def test_position_and_pose_agree() -> None:
    np.testing.assert_allclose(Camera.still(FRONT, focal=1.0).positions, [[0, -5, 1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"focal": np.array([0.0])}, "focal is not finite and positive"),
        ({"focal": np.ones(2)}, "expected the camera's focal of shape"),
        ({"views": np.full((1, 4, 4), np.nan)}, "position is not finite"),
        ({"views": np.eye(4)}, "views of shape"),
        ({"fit": "fill"}, "sensor fit is one of"),
        ({"pixel_aspect": 0.0}, "aspect is greater than 0"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MotionError, match=message):
        front(**changes)


def test_a_shot_may_cut_from_a_perspective_to_an_orthographic_camera() -> None:
    still, flat = front(), front(scale=np.array([4.0]))
    both = front(
        views=np.repeat(still.views, 2, axis=0),
        focal=np.repeat(still.focal, 2),
        scale=np.array([0.0, 4.0]),
    )
    points = np.array([[[1.0, 0.0, 1.0], [1.0, 9.0, 1.0]]])

    pixels, _ = both.project(points, (640, 480))

    np.testing.assert_allclose(pixels[:1], still.project(points, (640, 480))[0])
    np.testing.assert_allclose(pixels[1:], flat.project(points, (640, 480))[0])
    assert both.parallel.tolist() == [False, True]
