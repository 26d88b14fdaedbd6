"""Initial poses -> refined poses, from a file, another model or the last frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pose_buctd.config import InitialPosesConfig, RefineConfig
from pose_buctd.stages.initial_poses import PoseFileStage, make_initial_poses
from pose_buctd.stages.refine import RefineStage
from pose_buctd.stages.track import TrackStage
from torch import Tensor, nn

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import (
    FrameGroup,
    Predictions,
    StageContext,
    StageResult,
    View,
    compare_poses,
    find_duplicates,
)
from pose_core.pipeline.crops import Crops
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.sources import ArraySource
from pose_core.pipeline.whole_frames import WholeFrames
from pose_core.specs import Preprocess
from pose_core.structures import ByteArray, Frame, Instances, Region, Skeleton

SIGMA = 3.0
OFFSETS = np.array([[-12.0, 4.0], [0.0, -9.0], [13.0, 6.0]])
"""An animal is a red, a green and a blue blob about its middle."""
PEAKS = (250.0, 180.0, 120.0)
SKELETON = Skeleton(("red", "green", "blue"), individuals=("one", "two", "three"))


def animal(x: float, y: float) -> Any:
    return OFFSETS + np.array([x, y])


def picture(animals: Any, size: tuple[int, int] = (160, 240)) -> ByteArray:
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros((*size, 3))
    for points in animals:
        for k, (px, py) in enumerate(points):
            blob = PEAKS[k] * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
            image[..., k] = np.maximum(image[..., k], blob)
    return np.round(image).astype(np.uint8)


class Attentive(nn.Module):
    """An exact network for these pictures: of each colour the middle of the light near the initial keypoint;
    where that is missing, near the middle of the initial pose."""

    size_multiple = 2
    device = torch.device("cpu")

    def __init__(self, skeleton: Skeleton = SKELETON) -> None:
        super().__init__()
        self.skeleton = skeleton

    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        assert initial is not None
        assert initial.keypoints.shape[1] == 1, "one initial pose a crop"
        light = images.float() / 255
        height, width = images.shape[-2:]
        places = torch.stack(
            torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")[::-1], -1
        ).float()
        points = initial.keypoints[:, 0]
        points = torch.where(torch.isnan(points), points.nanmean(1, keepdim=True), points)
        for _ in range(8):  # towards the blob, step by step
            near = torch.exp(-(places - points[:, :, None, None]).square().sum(-1) / (2 * 5.0**2))
            weight = light * near
            total = weight.sum((-1, -2))
            middle = (weight[..., None] * places).sum((-2, -3)) / total[..., None].clamp(min=1e-6)
            points = points + 1.6 * (middle - points)
        score = light.new_tensor([0.0])
        at = (points.round().long()).clamp(min=0)
        x, y = at[..., 0].clamp(max=width - 1), at[..., 1].clamp(max=height - 1)
        rows, channels = torch.arange(len(light))[:, None], torch.arange(3)[None]
        score = light[rows, channels, y, x]
        return Predictions.none(len(light), SKELETON).with_animals(points[:, None], score[:, None])


PREPROCESS = Preprocess(view="animal", size=(64, 64), min_box=20.0, scale=1.0, margin=0.3)


def context(**more: Any) -> StageContext:
    network = Attentive()
    crops = Crops(network, PREPROCESS, 32)
    return StageContext(SKELETON, network.device, "attentive", network=network, crops=crops, **more)


def refine() -> RefineStage:
    return RefineStage(RefineConfig(), context())


def track(search: PoseFileStage, animals: int | None, every: int | None = 10) -> TrackStage:
    following = context(follow=True, follow_threshold=0.2, max_animals=animals, before=[search])
    return TrackStage(RefineConfig(search_every=every), following)


def table(frames: dict[int, Any], scores: float = 0.8) -> dict[int, Frame]:
    def instances(points: Any) -> Instances:
        return Instances.from_keypoints(np.reshape(points, (-1, 3, 2)), scores=np.full(len(points), scores))

    return {index: Frame(index, instances(points)) for index, points in frames.items()}


def run(stages: Any, images: list[ByteArray], previous: Frame | None = None, first: int = 0) -> list[Frame]:
    pipeline = Pipeline(stages, SKELETON, torch.device("cpu"), batch_size=1 if first else 4)
    results = pipeline.run(ArraySource(images), first, previous=previous)
    return [frame for result in results for frame in result.frames]


def test_initial_poses_become_exact_and_keep_a_score_for_each_keypoint() -> None:
    rng = np.random.default_rng(0)
    truth = {0: [animal(50, 60), animal(150, 90)], 2: [animal(120.4, 70.3)]}
    initial = {i: [points + rng.uniform(-4, 4, (3, 2)) for points in animals] for i, animals in truth.items()}
    initial[2][0][1] = np.nan
    stages = [PoseFileStage(table(initial), SKELETON), refine()]
    frames = run(stages, [picture(truth.get(i, [])) for i in range(3)])
    assert [len(frame.instances) for frame in frames] == [2, 0, 1]
    for index, animals in truth.items():
        np.testing.assert_allclose(frames[index].instances.keypoints, animals, atol=0.3)
        scores = frames[index].instances.keypoint_scores
        assert (scores[:, 0] > scores[:, 1]).all()
        assert (scores[:, 1] > scores[:, 2]).all(), "confidences of the keypoints of an animal differ"
        np.testing.assert_allclose(frames[index].instances.scores, 0.8 * scores.mean(1), rtol=1e-5)


class Named(Attentive):
    """Finds animals in whole frames where they are told to be, and knows who they are."""

    def __init__(self, points: Any, chances: Any, skeleton: Skeleton = SKELETON) -> None:
        super().__init__(skeleton)
        self.points, self.chances = torch.tensor(np.array(points), dtype=torch.float32), torch.tensor(chances)

    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        batch = len(images)
        points = self.points[None].expand(batch, -1, -1, -1)
        found = Predictions.none(batch, self.skeleton).with_animals(points, torch.ones(points.shape[:-1]))
        return replace(found, identity_scores=self.chances.expand(batch, -1, -1))


@pytest.mark.parametrize("same", [True, False])
def test_refined_poses_keep_the_names_of_the_initial_ones_if_these_are_of_the_same_individuals(
    same: bool,
) -> None:
    """A pose that is dropped as a duplicate takes no name of another."""
    truth = [animal(50, 60), animal(150, 90)]
    chances = [[0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.1, 0.9, 0.0]]
    project = SKELETON if same else Skeleton(SKELETON.keypoints, individuals=("a", "b", "c"))
    network = Named([truth[0] + 1, truth[1] + 1, truth[1] - 1], chances, project)
    frames = WholeFrames(network, Preprocess(scale=1.0))
    source = StageContext(SKELETON, network.device, "named", network=network, frames=frames)
    (frame,) = run([make_initial_poses(InitialPosesConfig(), source), refine()], [picture(truth)])
    assert len(frame.instances) == 2
    first = frame.instances.keypoints[:, 0, 0].argmin()
    names, scores = frame.instances.identity, frame.instances.identity_scores
    if same:
        # Of the two at the second place one is kept, with 0.8 or 0.9 for individual 1.
        assert (names[first], names[1 - first]) == (2, 1)
        assert scores[first] == pytest.approx(0.2)
        assert scores[1 - first] in (pytest.approx(0.8), pytest.approx(0.9))
    else:
        assert names.tolist() == [-1, -1]
        assert scores.tolist() == [0, 0]


def test_poses_of_a_file_are_those_of_the_whole_frame_and_those_beside_a_crop_are_none() -> None:
    truth = [animal(60, 60), animal(190, 90)]
    stages = [PoseFileStage(table({0: [points + 2 for points in truth]}), SKELETON), refine()]
    pipeline = Pipeline(stages, SKELETON, torch.device("cpu"), batch_size=1)
    for region, expected in (
        (Region(20, 120, 10, 130), truth[:1]),
        (Region(150, 240, 40, 150), truth[1:]),
        (Region(0, 20, 0, 20), []),
    ):
        (result,) = pipeline.run(ArraySource([picture(truth)]), region=region)
        (frame,) = result.frames
        np.testing.assert_allclose(frame.instances.keypoints, np.reshape(expected, (-1, 3, 2)), atol=0.3)


def test_two_initial_poses_of_one_animal_become_one() -> None:
    one, other = animal(50, 60) + 3, animal(50, 60) - 3
    other[1] = np.nan
    stages = [PoseFileStage(table({0: [one, other, animal(150, 80)]}), SKELETON), refine()]
    (frame,) = run(stages, [picture([animal(50, 60), animal(150, 80)])])
    assert len(frame.instances) == 2


poses = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(0.01, 1.0)), min_size=0, max_size=7)


@given(drawn=poses, most=st.sampled_from([0.3, 0.7, 0.95]), seed=st.integers(0, 1000))
def test_what_is_kept_is_different_and_what_goes_has_a_higher_scoring_double(
    drawn: list[tuple[float, float, float]], most: float, seed: int
) -> None:
    points = torch.tensor(np.array([animal(x, y) for x, y, _ in drawn], np.float32).reshape(1, -1, 3, 2))
    scores = torch.tensor([[s + 1e-4 * i for i, (_, _, s) in enumerate(drawn)]])
    gone = find_duplicates(points, scores, most)[0]
    near = compare_poses(points, points)[0]
    kept = (~gone).nonzero()[:, 0].tolist()
    for i in kept:
        assert all(j == i or near[i, j] <= most for j in kept)
    for i in gone.nonzero()[:, 0].tolist():
        assert any(near[i, j] > most and scores[0, j] >= scores[0, i] for j in kept)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(drawn)))
    assert torch.equal(find_duplicates(points[:, order], scores[:, order], most)[0], gone[order])


def test_similarity_is_that_of_the_formula() -> None:
    one, other = torch.tensor(animal(10, 10)).float(), torch.tensor(animal(13, 8)).float()
    other[1] = torch.nan
    area = (25 + 0.0) * 15  # of the larger box
    distance = np.array([9 + 4, 9 + 4])
    expected = np.exp(-distance / (2 * area * 0.2**2)).mean()
    assert float(compare_poses(one[None], other[None])) == pytest.approx(expected, rel=1e-5)
    nothing = torch.full((1, 3, 2), torch.nan)
    assert float(compare_poses(one[None], nothing)) == 0.0


class Search(PoseFileStage):
    """Counts the frames that are searched."""

    def __init__(self, table: dict[int, Frame]) -> None:
        super().__init__(table, SKELETON)
        self.frames: list[int] = []

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        self.frames += group.indices
        return super().run(group, view, found)


FRAMES = 16
LEAVES, RETURNS = 5, 9


def walk() -> list[Any]:
    """Three animals that walk; the second is away from frame 5 to 8."""
    every = []
    for t in range(FRAMES):
        animals = [animal(40 + 3 * t, 50), animal(60 + 4 * t, 110), animal(200 - 2 * t, 60 + t)]
        every.append([a for i, a in enumerate(animals) if i != 1 or not LEAVES <= t < RETURNS])
    return every


def tracked(
    search: Search, first: int = 0, previous: Frame | None = None, every: int | None = None
) -> list[Frame]:
    return run([track(search, 3, every)], [picture(animals) for animals in walk()], previous, first)


def test_animals_are_followed_and_the_frame_is_searched_while_one_is_missing() -> None:
    search = Search(table(dict(enumerate(walk()))))
    frames = tracked(search)
    assert search.frames == [0, *range(LEAVES, RETURNS + 1)]
    for t, (frame, animals) in enumerate(zip(frames, walk(), strict=True)):
        assert len(frame.instances) == len(animals), t
        order = np.argsort(frame.instances.keypoints[:, 0, 1])
        expected = np.stack(animals)[np.argsort(np.stack(animals)[:, 0, 1])]
        np.testing.assert_allclose(frame.instances.keypoints[order], expected, atol=1.0)
    first = {
        number: frames[0].instances.keypoints[i]
        for i, number in enumerate(frames[0].instances.track.tolist())
    }
    assert sorted(first) == [0, 1, 2]
    gone = next(n for n, points in first.items() if abs(points[0, 1] - 114) < 2)
    for t, frame in enumerate(frames):
        numbers = frame.instances.track.tolist()
        assert numbers == sorted({0, 1, 2} - ({gone} if LEAVES <= t < RETURNS else set()))


def test_an_animal_that_is_not_followed_takes_the_place_of_a_phantom() -> None:
    """A bright spot that looks like an animal at first is followed until the frame is searched again."""
    paths = [[animal(40, 50), animal(60, 110), animal(180, 60)] for _ in range(12)]
    fooled = {
        0: [animal(60, 110), animal(180, 60), animal(120, 30)]
    }  # the third is none, the first animal is missed
    phantom = [*paths[0], animal(120, 30)]
    for every, expected in ((None, 0), (5, 7)):
        search = Search(table({**dict(enumerate(paths)), **fooled}))
        frames = run([track(search, 3, every)], [picture(phantom) for _ in paths])
        right = [np.abs(f.instances.keypoints - animal(40, 50)).max(axis=(1, 2)).min() < 1 for f in frames]
        assert all(len(f.instances) == 3 for f in frames)
        assert right == [False] * (12 - expected) + [True] * expected
        assert search.frames == ([0] if every is None else [0, 5, 10])
        numbers = [f.instances.track.tolist() for f in frames]
        assert numbers == [[0, 1, 2]] * 12


def test_two_followed_animals_never_become_one() -> None:
    paths = [[animal(40 + 5 * t, 60), animal(140 - 5 * t, 66)] for t in range(20)]
    search = Search(table(dict(enumerate(paths))))
    for frame in run([track(search, 2)], [picture(animals) for animals in paths]):
        near = compare_poses(*[torch.from_numpy(frame.instances.keypoints)] * 2)
        assert (near.fill_diagonal_(0) <= 0.7).all()


def test_an_interrupted_prediction_goes_on_as_one_that_was_not() -> None:
    whole = tracked(Search(table(dict(enumerate(walk())))), every=5)
    for first in (1, 6, 11):
        rest = tracked(Search(table(dict(enumerate(walk())))), first, whole[first - 1], every=5)
        for one, other in zip(whole[first:], rest, strict=True):
            np.testing.assert_array_equal(one.instances.keypoints, other.instances.keypoints)
            np.testing.assert_array_equal(one.instances.track, other.instances.track)


def test_what_is_given_must_suit_the_model(tmp_path: Path) -> None:
    other = Attentive(Skeleton(("nose", "tail")))
    frames = WholeFrames(other, Preprocess(scale=1.0))
    finds = StageContext(SKELETON, other.device, "conditions=RUN", network=other, frames=frames)
    with pytest.raises(
        ConfigError, match="conditions=RUN: finds nose, tail; the model refines red, green, blue"
    ):
        make_initial_poses(InitialPosesConfig(), finds)
    with pytest.raises(
        ConfigError, match="has no network of its own that finds the animals; train it with one, or predict"
    ):
        make_initial_poses(InitialPosesConfig(), context())
    with pytest.raises(ConfigError, match=r"inference\.max_animals: follow must know"):
        track(PoseFileStage({}, SKELETON), None)
    with pytest.raises(DataError, match="no such file"):
        make_initial_poses(InitialPosesConfig(), context(file=tmp_path / "none.parquet"))
