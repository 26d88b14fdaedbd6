"""Plots come out for every shape of data, without warnings, and choose what they say they choose."""

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.data.draw import draw_instances
from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.evaluation.contact_sheet import COLUMNS, choose, plot_predictions, rank_images, view
from pose_core.evaluation.metrics import measure
from pose_core.evaluation.plots import plot_error_by_keypoint, plot_error_curve
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage, Skeleton


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def split(tmp_path, images, keypoints=4, animals=1, noise=3.0, unique=0, seed=0):
    """Gray images with random labels and predictions near them."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(images):
        path = tmp_path / f"a_rather_long_name_of_an_image_{number}.png"
        cv2.imwrite(str(path), rng.integers(90, 160, (120, 200), dtype=np.uint8))
        truth = rng.uniform([20, 20], [180, 100], (animals, keypoints, 2))
        corners = rng.uniform(20, 100, (unique, 2))
        labels = LabelledImage.create(
            ImageFile(path), path.name, 200, 120, Instances.from_keypoints(truth), unique_keypoints=corners
        )
        guess = truth + rng.normal(0, noise, truth.shape)
        near = (corners + 2).astype(np.float32)
        pairs.append(
            (labels, Frame(number, Instances.from_keypoints(guess), near, np.ones(unique, np.float32)))
        )
    skeleton = Skeleton(
        tuple(f"keypoint {i}" for i in range(keypoints)),
        individuals=tuple(f"animal {i}" for i in range(animals)),
        unique_keypoints=tuple(f"corner {i}" for i in range(unique)),
    )
    return pairs, skeleton


def draw(tmp_path, pairs, skeleton):
    measured = measure(pairs, skeleton, EvaluationSpec(bootstrap=10))
    paths = [tmp_path / "out" / f"{i}.png" for i in range(3)]
    paths[0].parent.mkdir(exist_ok=True)
    made = [
        plot_error_by_keypoint(measured.errors, measured.result, paths[0]),
        plot_error_curve(measured.errors, measured.result, paths[1]),
        plot_predictions(pairs, measured.matches, measured.errors, measured.result, skeleton, paths[2]),
    ]
    for path, drawn in zip(paths, made, strict=True):
        assert path.exists() == drawn
        if drawn:
            image = cv2.imread(str(path))
            assert min(image.shape[:2]) > 200
            assert image.std() > 5
    return made


@pytest.mark.parametrize(
    ("images", "keypoints", "animals", "noise", "unique"),
    [(14, 4, 1, 3.0, 0), (1, 1, 1, 0.0, 0), (3, 20, 3, 30.0, 2), (2, 45, 1, 1e4, 0)],
)
def test_plots_of_all_shapes(tmp_path, images, keypoints, animals, noise, unique):
    assert all(draw(tmp_path, *split(tmp_path, images, keypoints, animals, noise, unique)))


def test_missing_false_and_unreadable(tmp_path):
    pairs, skeleton = split(tmp_path, 3, animals=2)
    (first, found), (second, _), third = pairs
    partly = found.instances.keypoints.copy()
    partly[0, :2] = np.nan
    extra = np.concatenate([partly, partly[:1] + 500])
    pairs = [
        (first, Frame(0, Instances.from_keypoints(extra))),
        (second, Frame.absent(1, skeleton, "unreadable")),
        third,
    ]
    second.image.path.write_text("no image")
    assert all(draw(tmp_path, pairs, skeleton))


def test_nothing_to_draw(tmp_path):
    pairs, skeleton = split(tmp_path, 2)
    unlabelled = [
        (LabelledImage.create(i.image, i.name, 200, 120, Instances.empty(4)), found) for i, found in pairs
    ]
    assert draw(tmp_path, unlabelled, skeleton) == [False, False, False]
    nothing = [(labels, Frame(0, Instances.empty(4))) for labels, _ in pairs]
    assert draw(tmp_path, nothing, skeleton) == [False, False, True]


def test_images_are_ranked_with_missing_keypoints_as_errors_of_the_animals_size(tmp_path):
    def pair(points):
        truth = [[[0, 0], [100, 0]]]
        labels = LabelledImage.create(
            ImageFile(tmp_path), "x", 300, 400, Instances.from_keypoints(np.array(truth))
        )
        return labels, Frame(0, Instances.from_keypoints(np.array(points, np.float32)))

    nan = np.nan
    pairs = [pair([[[0, 0], [nan, nan]]]), pair([[[0, 9], [100, 9]]]), pair([[[0, 70], [100, 70]]])]
    errors = measure(pairs, Skeleton(("a", "b")), EvaluationSpec()).errors
    assert rank_images(errors, [500.0] * 3) == [1, 0, 2]  # 9, (0 + 100) / 2, 70


@given(st.integers(0, 60))
def test_the_sheet_shows_best_median_and_worst_without_repeating(count):
    rows = choose(list(range(count)))
    shown = [image for _, images in rows for image in images]
    assert len(set(shown)) == len(shown) == min(count, 3 * COLUMNS)
    assert shown == sorted(shown)
    assert all(0 < len(images) <= COLUMNS for _, images in rows)
    if count >= 3 * COLUMNS:
        titles, (best, median, worst) = zip(*rows, strict=True)
        assert titles == ("best", "median", "worst")
        assert best == list(range(COLUMNS))
        assert worst == list(range(count - COLUMNS, count))
        assert median[0] <= count / 2 <= median[-1] + 1


@given(
    st.lists(st.tuples(st.floats(-50, 700), st.floats(-50, 500)), min_size=1, max_size=6),
    st.integers(100, 640),
    st.integers(100, 480),
)
def test_the_window_is_square_and_holds_the_points_of_the_image(points, width, height):
    x0, y0, x1, y1 = view(np.array(points), width, height)
    assert x1 - x0 == pytest.approx(y1 - y0)
    inside = np.array(points).clip(-0.5, [width - 0.5, height - 0.5])
    assert (inside >= [x0 - 1e-6, y0 - 1e-6]).all()
    assert (inside <= [x1 + 1e-6, y1 + 1e-6]).all()
    # It looks beyond the edge of the image only where it is larger than the image.
    if x1 - x0 <= width:
        assert x0 >= -0.5 - 1e-6
        assert x1 <= width - 0.5 + 1e-6


def test_colours_are_distinct():
    for count in (1, 8, 9, 40):
        assert len(set(keypoint_colours(count))) == count
    assert to_hex((230, 159, 0)) == "#e69f00"


def test_a_keypoint_has_the_colour_in_the_contact_sheet_that_it_has_in_a_video(tmp_path):
    pairs, skeleton = split(tmp_path, 2)
    sheets = draw(tmp_path, pairs, skeleton)
    assert all(sheets)
    sheet = cv2.imread(str(tmp_path / "out" / "2.png"))[..., ::-1]
    points = np.array([[[20.0 + 20 * k, 30.0] for k in range(4)]])
    frame = draw_instances(
        np.zeros((60, 120, 3), np.uint8), Instances.from_keypoints(points), skeleton, radius=5
    )
    for k, colour in enumerate(keypoint_colours(4)):
        assert tuple(frame[30, 20 + 20 * k]) == colour
        assert (sheet == colour).all(axis=-1).any(), k
