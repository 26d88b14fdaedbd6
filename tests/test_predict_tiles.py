"""Large frames in tiles: every animal is found once, as in a frame of the size of a tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import make_run

import pose_core
from pose_core.data.geometry import frame_view, invert
from pose_core.errors import ConfigError
from pose_core.interfaces import FrameGeometry, Predictions, View, drop_repeated
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.model.build import build_model
from pose_core.pipeline.limits import keep_best
from pose_core.pipeline.tiles import TiledBoxes, TiledFrames, check_tiles
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, Preprocess, TilesSpec
from pose_core.structures import ByteArray, FloatArray, Skeleton

CPU = torch.device("cpu")
OFFSETS = np.array([[0, 0], [14, 0], [0, 10]], np.float32)
"""Keypoints of a painted animal, from its first one: red, green and blue."""


def paint(places: FloatArray, width: int, height: int) -> ByteArray:
    """Animals of three coloured pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in places.astype(int):
        for k, (dx, dy) in enumerate(OFFSETS.astype(int)):
            image[y + dy, x + dx, k] = 255
    return image


class Finder:
    """Finds painted animals: a network of ours that knows no noise; parts of an animal that a tile cuts off are
    missing."""

    fixed_size = False

    def __init__(self, keypoints: int = 3, scale: float = 1.0, size: tuple[int, int] | None = None) -> None:
        self.skeleton = Skeleton(("red", "green", "blue")[:keypoints], individuals=("a", "b"))
        self.seen: list[tuple[int, ...]] = []
        self.preprocess = Preprocess(scale=scale, size=size)

    def view(self, width: int, height: int) -> FrameGeometry:
        return frame_view(width, height, self.preprocess, 8)

    def predict(self, view: View, initial: Predictions | None = None) -> Predictions:
        self.seen.append(tuple(view.images.shape))
        return Predictions.cat([self._one(image, view) for image in view.images])

    def _one(self, image: torch.Tensor, view: View) -> Predictions:
        found: list[FloatArray] = []
        left = [torch.nonzero(channel > 200)[:, [1, 0]].float().numpy() for channel in image]
        k = self.skeleton.num_keypoints
        firsts = [points - OFFSETS[i] for i, points in enumerate(left[:k])]
        for first in np.unique(np.concatenate(firsts), axis=0) if firsts else []:
            animal = np.full((k, 2), np.nan, np.float32)
            for i in range(k):
                if (near := np.flatnonzero((firsts[i] == first).all(1))).size:
                    animal[i] = left[i][near[0]]
            found.append(animal)
        points = torch.from_numpy(np.array(found, np.float32).reshape(1, -1, k, 2))
        scores = torch.isfinite(points).all(-1).float() * 0.9
        none = Predictions.none(1, self.skeleton)
        return none.with_animals(points, scores).through(view.to_frame)

    def predict_frame(self, frame: ByteArray) -> Predictions:
        raise NotImplementedError

    def predict_window(self, frame: ByteArray, box: FloatArray) -> Predictions:
        raise NotImplementedError


def look(network: TiledFrames, images: list[ByteArray]) -> Predictions:
    geometry = network.view(images[0].shape[1], images[0].shape[0])
    assert np.allclose(geometry.matrix, np.eye(3))
    padded = np.zeros((len(images), geometry.height, geometry.width, 3), np.uint8)
    padded[:, : images[0].shape[0], : images[0].shape[1]] = images
    return network.predict(View(torch.from_numpy(padded).permute(0, 3, 1, 2), invert(geometry.matrix)))


def draw_places(data: st.DataObject, width: int, height: int, count: int) -> FloatArray:
    """Places of animals that do not overlap."""
    cells = [(x, y) for x in range(0, width - 30, 32) for y in range(0, height - 24, 24)]
    chosen = data.draw(st.lists(st.sampled_from(cells), unique=True, min_size=0, max_size=count))
    moved = [(x + data.draw(st.integers(0, 12)), y + data.draw(st.integers(0, 10))) for x, y in chosen]
    return np.array(moved, np.float32).reshape(-1, 2)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(), size=st.integers(64, 120), overlap=st.integers(16, 32), keypoints=st.sampled_from([1, 3])
)
def test_every_animal_is_found_once_and_whole(
    data: st.DataObject, size: int, overlap: int, keypoints: int
) -> None:
    width, height = data.draw(st.integers(64, 300)), data.draw(st.integers(64, 200))
    several = [draw_places(data, width, height, 6) for _ in range(2)]
    network = TiledFrames(Finder(keypoints), CPU, TilesSpec(size=size, overlap=overlap), None)
    found = look(network, [paint(places, width, height) for places in several])
    for row, places in enumerate(several):
        kept = found.scores[row] > 0
        points = found.keypoints[row][kept].numpy()
        expected = places[:, None] + OFFSETS[:keypoints]
        assert len(points) == len(expected)
        order = [a[np.lexsort(a[:, 0].T)] for a in (points, expected)]
        np.testing.assert_allclose(*order)


def test_tiles_have_the_size_that_is_asked_for() -> None:
    finder = Finder()
    look(TiledFrames(finder, CPU, TilesSpec(size=96, overlap=16), None), [paint(np.zeros((0, 2)), 300, 100)])
    # Of 100 rows the last four need a second row of tiles; three in each row share at least 16 pixels.
    assert finder.seen == [(1, 3, 96, 96)] * 8
    finder = Finder(size=(64, 64))
    network = TiledFrames(finder, CPU, TilesSpec(size=128), None)
    geometry = network.view(300, 128)
    # A network of one size sees a tile of twice its size at half the scale.
    assert geometry.matrix[0, 0] == 0.5
    assert (geometry.width, geometry.height) == (150, 64)


def test_small_frames_are_one_tile() -> None:
    finder = Finder()
    network = TiledFrames(finder, CPU, TilesSpec(size=96), None)
    assert look(network, [paint(np.array([[5.0, 5.0]]), 40, 32)]).scores.shape == (1, 1)
    assert len(finder.seen) == 1


def test_without_overlap_an_animal_at_the_edge_is_found_twice() -> None:
    """What the overlap is for: without it nothing shows the animal as a whole."""
    image = paint(np.array([[60.0, 10.0]]), 128, 64)
    cut = look(TiledFrames(Finder(), CPU, TilesSpec(size=64, overlap=0), None), [image])
    assert torch.isnan(cut.keypoints[0]).any()
    whole = look(TiledFrames(Finder(), CPU, TilesSpec(size=64, overlap=24), None), [image])
    assert torch.isfinite(whole.keypoints[0][whole.scores[0] > 0]).all()


class BoxFinder:
    """Finds the boxes of white rectangles, as much of them as a tile shows."""

    def view(self, width: int, height: int) -> FrameGeometry:
        return frame_view(width, height, Preprocess(), 8)

    def predict(self, view: View, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = []
        for image in view.images:
            _, _, stats, _ = cv2.connectedComponentsWithStats((image[0].numpy() > 0).astype(np.uint8))
            left, top, wide, high = stats[1:, :4].T.astype(np.float32)
            corners = np.stack([left, top, left + wide - 1, top + high - 1], 1)
            rows.append(torch.from_numpy(corners + np.tile(view.to_frame[:2, 2], 2).astype(np.float32)))
        most = max(map(len, rows))
        boxes = torch.full((len(rows), most, 4), torch.nan)
        scores = torch.zeros(len(rows), most)
        for i, row in enumerate(rows):
            boxes[i, : len(row)] = row
            # The smallest, and so those that are cut off, are the most certain.
            scores[i, : len(row)] = 1 / (1 + (row[:, 2] - row[:, 0]) * (row[:, 3] - row[:, 1]))
        return boxes, scores


def test_boxes_of_tiles_are_those_of_whole_animals() -> None:
    image = np.zeros((100, 260, 3), np.uint8)
    expected = [[50, 20, 75, 39], [100, 60, 129, 84], [200, 5, 219, 24], [205, 50, 214, 59]]
    for x1, y1, x2, y2 in expected:
        image[y1 : y2 + 1, x1 : x2 + 1] = 255
    network = TiledBoxes(BoxFinder(), TilesSpec(size=96, overlap=32), 10)
    geometry = network.view(260, 100)
    padded = np.zeros((1, geometry.height, geometry.width, 3), np.uint8)
    padded[0, :100, :260] = image
    boxes, scores = network.predict(
        View(torch.from_numpy(padded).permute(0, 3, 1, 2), invert(geometry.matrix)), 260, 100
    )
    there = scores[0] > 0
    assert sorted(boxes[0][there].tolist()) == expected
    assert (scores[0].diff() <= 0).all()
    assert torch.isnan(boxes[0][~there]).all()


@given(st.data())
def test_what_is_dropped_is_the_same_as_something_better_that_stays(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 7))
    pairs = data.draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))
    same = torch.tensor(pairs).reshape(1, n, n)
    same = same | same.mT
    scores = torch.tensor([data.draw(st.permutations([i / n for i in range(n)]))])
    dropped = drop_repeated(same, scores)[0]
    for i in range(n):
        better = [j for j in range(n) if same[0, i, j] and scores[0, j] > scores[0, i]]
        assert bool(dropped[i]) == any(not dropped[j] for j in better)


def test_of_too_many_animals_the_best_stay_in_their_order() -> None:
    points = torch.arange(12.0).reshape(1, 3, 2, 2)
    found = Predictions.none(1, Skeleton(("a", "b"))).with_animals(
        points, torch.tensor([[[0.5, 0.5], [0.1, 0.1], [0.9, 0.9]]])
    )
    assert keep_best(found, 2).keypoints.tolist() == [points[0, [0, 2]].tolist()]
    assert keep_best(found, 3) is found
    assert keep_best(found, None) is found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "large.png"
    pixels = np.random.default_rng(0).integers(0, 256, (200, 340, 3), np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(pixels, (0, 0), 3))
    return path


def test_of_one_animal_the_best_tile_counts(run: Path, image: Path) -> None:
    pixels = cv2.imread(str(image))[..., ::-1]
    plain = pose_core.load(run, "cpu")
    tiled = pose_core.load(run, "cpu", tiles=(128, 32), max_animals="none")
    (found,) = tiled.predict([pixels])
    # The same tiles by hand: 128 pixels of 200 and of 340, evenly placed, whole pixels at the scale 0.5.
    lefts, tops = [2 * x for x in np.linspace(0, 106, 4).round().astype(int)], [0, 72]
    parts = [
        (left, top, plain.predict([np.ascontiguousarray(pixels[top : top + 128, left : left + 128])])[0])
        for top in tops
        for left in lefts
    ]
    left, top, best = max(parts, key=lambda part: float(part[2].instances.keypoint_scores.sum()))
    assert len(found.instances) == 1
    np.testing.assert_allclose(
        found.instances.keypoints, best.instances.keypoints + np.float32([left, top]), atol=1e-2
    )


def test_the_command_and_python_see_the_same_tiles(pose: Any, run: Path, image: Path, tmp_path: Path) -> None:
    pose("predict", run, image, "--out", tmp_path / "a", "--tiles", "128:32", "--device", "cpu")
    (outcome,) = pose_core.predict(run, image, tmp_path / "b", tiles=(128, 32), device="cpu")
    (whole,) = pose_core.predict(run, image, tmp_path / "c", tiles="none", device="cpu")
    assert outcome is not None
    assert whole is not None
    (path,) = (tmp_path / "a").glob("*.parquet")
    points = [
        next(iter(open_predictions(each))).instances.keypoints
        for each in (path, outcome.result, whole.result)
    ]
    np.testing.assert_array_equal(points[0], points[1])
    assert not np.allclose(points[0], points[2], equal_nan=True)


def test_an_animal_is_followed_in_windows_after_it_was_found_in_a_tile(run: Path, image: Path) -> None:
    pixels = np.ascontiguousarray(cv2.imread(str(image))[..., ::-1])
    settings = {"inference.follow_threshold": 0.0}
    (once,) = pose_core.load(run, "cpu", tiles=128).predict([pixels])
    first, second = pose_core.load(run, "cpu", tiles=128, follow=True, settings=settings).predict(
        [pixels] * 2
    )
    np.testing.assert_allclose(first.instances.keypoints, once.instances.keypoints, atol=1e-2)
    assert len(second.instances) == 1


@pytest.mark.parametrize(
    ("tiles", "message"),
    [
        ("a", r"tiles=a: must be SIZE or SIZE:OVERLAP in pixels of the frame"),
        ("1:2:3", r"must be SIZE or SIZE:OVERLAP"),
        (16, r"tiles.*size.*greater than or equal to 32|tiles.*size.*32"),
        ((64, 60), r"tiles.*overlap 60 must be at most half of the size 64"),
        ((64, -1), r"tiles.*overlap.*0"),
    ],
)
def test_tiles_that_make_no_sense_are_a_line(run: Path, tiles: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        pose_core.load(run, "cpu", tiles=tiles)
    assert "\n" not in str(caught.value)


def test_tiles_of_a_model_of_crops_are_those_of_its_detector(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        model={
            "method": "top_down",
            "preprocess": {"size": [64, 64], "scale": 1.0, "margin": 0.1, "min_box": 100.0},
        },
    )
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("frame,x1,y1,x2,y2\n0,1,2,30,40\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing here looks at whole frames; leave it out"):
        pose_core.load(run, "cpu", tiles=640, boxes=boxes)
    spec = pose_core.load(run, "cpu", boxes=boxes).spec
    for size in (64, 128):
        inference = spec.inference.model_copy(update={"tiles": TilesSpec(size=size)})
        changed = spec.model_copy(update={"inference": inference})
        if size == 64:
            with pytest.raises(
                ConfigError, match=r"smaller than the crop of an animal, which shows 100 pixels"
            ):
                check_tiles(changed, looks_at_frames=True)
        else:
            check_tiles(changed, looks_at_frames=True)


def test_a_detector_sees_each_tile_as_a_frame_of_its_size(tmp_path: Path, image: Path) -> None:
    """A real detector of random weights, which finds boxes everywhere."""
    skeleton = {"keypoints": ["nose", "tail"], "individuals": ["a", "b"]}
    network = {"type": "ssdlite", "threshold": 0.0, "pretrained": False, "size": [64, 64]}
    spec = DetectorRunSpec.model_validate(
        {"skeleton": skeleton, "data": {"source": "nowhere"}, "network": network, "min_box": 20.0}
    )
    torch.manual_seed(2)
    detector = Run.create(tmp_path / "detector", spec, {})
    detector.save_weights(build_model(spec).state_dict())
    crops = make_run(
        tmp_path / "run",
        model={
            "method": "top_down",
            "preprocess": {"size": [64, 64], "scale": 1.0, "margin": 0.1, "min_box": 16.0},
        },
    )
    pixels = np.ascontiguousarray(cv2.imread(str(image))[:128, :224, ::-1])
    options: dict[str, Any] = {"detector": detector.path, "max_animals": "none"}
    tiled = pose_core.load(crops, "cpu", tiles=(128, 32), **options)
    (found,) = tiled.predict([pixels])
    plain = pose_core.load(crops, "cpu", **options)
    parts = []
    # 224 pixels wide, tiles of 128 of which 32 are shared: at 0 and 96.
    for left in (0, 96):
        part = np.ascontiguousarray(pixels[:, left : left + 128])
        boxes = plain.predict([part])[0].instances.boxes + np.float32([left, 0, left, 0])
        # A detector clips its boxes to the frame, which goes on beyond the tile here.
        parts.append(boxes)
    every = np.concatenate(parts)
    assert 0 < len(found.instances) <= len(every)
    inner = [box for box in found.instances.boxes if not 90 < box[0] < 134 and not 90 < box[2] < 134]
    assert inner
    for box in inner:
        assert np.abs(every - box).max(1).min() < 0.1
    by_setting = pose_core.load(
        crops, "cpu", settings={"inference.tiles": {"size": 128, "overlap": 32}}, **options
    )
    np.testing.assert_array_equal(by_setting.predict([pixels])[0].instances.boxes, found.instances.boxes)
