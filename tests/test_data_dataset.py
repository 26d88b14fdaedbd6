"""Samples and batches: whole frames and crops, padding, determinism, the cache, images that cannot be
used."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pose_core.data.augment import Augmenter
from pose_core.data.batches import Batch, collate, init_worker
from pose_core.data.geometry import compute_crop_geometry, frame_view, transform_points, warp
from pose_core.data.images import ImageCache, read_image
from pose_core.data.sample import PlacedLabels, Sample
from pose_core.data.samples import PoseSamples
from pose_core.errors import ConfigError, DataError
from pose_core.specs import Preprocess
from pose_core.specs.train import TRANSFORMS, AugmentationSpec, DecidedAugmentationSpec, DecidedCropSpec
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton

SKELETON = Skeleton(
    ("left", "right"), symmetry=(("left", "right"),), individuals=("a", "b"), unique_keypoints=("corner",)
)
NAN = float("nan")
AUGMENTATION = DecidedAugmentationSpec(crop=DecidedCropSpec(size=(64, 96)))


@pytest.fixture
def project(tmp_path: Path) -> LabelledDataset:
    """Three images of two sizes with two, one and no animals."""
    rng = np.random.default_rng(0)
    specs = [
        ("0.png", 120, 100, [[[20, 30], [50, 40]], [[80.5, 60], [NAN, NAN]]], [0, 1], (5.0, 6.0)),
        ("1.png", 90, 110, [[[NAN, NAN], [NAN, NAN]], [[40, 70], [60, 30]]], [0, 1], (NAN, NAN)),
        ("2.png", 120, 100, [], [], (1.0, 2.0)),
    ]
    images = []
    for name, width, height, keypoints, identity, corner in specs:
        smooth = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
        cv2.imwrite(str(tmp_path / name), smooth)
        points = np.array(keypoints, np.float32).reshape(-1, 2, 2)
        images.append(
            LabelledImage.create(
                ImageFile(tmp_path / name),
                name,
                width,
                height,
                Instances.from_keypoints(points, identity=identity),
                unique_keypoints=[corner],
                areas=np.full(len(points), 50.0),
            )
        )
    return LabelledDataset(SKELETON, tuple(images), tmp_path, "project")


def samples(project: LabelledDataset, augmented: bool = False, **changes) -> PoseSamples:
    arguments = {
        "rows": [0, 1, 2],
        "preprocess": Preprocess(scale=1.0),
        "multiple": 32,
        "augmenter": Augmenter(AUGMENTATION, SKELETON) if augmented else None,
        "seed": 0,
        "cache_bytes": 1 << 20,
        **changes,
    }
    return PoseSamples(project, **arguments)


def test_without_augmentation_a_sample_is_what_inference_sees(project):
    for scale in (1.0, 0.5, 0.37, 1.4):
        preprocess = Preprocess(scale=scale)
        for number, sample in enumerate(samples(project, preprocess=preprocess)):
            record = project.images[number]
            geometry = frame_view(record.width, record.height, preprocess, 32)
            np.testing.assert_array_equal(sample.image, warp(read_image(record.image), geometry))
            np.testing.assert_array_equal(sample.matrix, geometry.matrix)
            assert sample.index == number
            labelled = record.instances.keypoints[~np.isnan(record.instances.keypoints).all(axis=(1, 2))]
            np.testing.assert_allclose(sample.labels.keypoints, transform_points(labelled, geometry.matrix))


def test_a_batch_is_as_documented(project):
    batch = collate(list(samples(project)))
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (3, 3, 128, 128)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.matrices.dtype == torch.float64
    assert batch.matrices.shape == (3, 3, 3)
    assert batch.indices.tolist() == [0, 1, 2]
    labels = batch.labels
    assert labels.keypoints.shape == (3, 2, 2, 2)
    assert labels.keypoints.dtype == labels.boxes.dtype == labels.areas.dtype == torch.float32
    assert labels.occluded.dtype == torch.bool
    # Image 1 has an animal without keypoints, which is left out; image 2 has none.
    assert labels.identity.tolist() == [[0, 1], [1, -1], [-1, -1]]
    np.testing.assert_array_equal(
        labels.boxes.numpy(),
        [[[20, 30, 50, 40], [80.5, 60, 80.5, 60]], [[40, 30, 60, 70], [NAN] * 4], [[NAN] * 4] * 2],
    )
    np.testing.assert_array_equal(labels.areas.numpy(), [[50, 50], [50, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(labels.unique_keypoints.numpy(), [[[5, 6]], [[NAN, NAN]], [[1, 2]]])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=4))
def test_padding_moves_nothing(sizes):
    rng = np.random.default_rng(0)
    made = []
    for index, (height, width, count) in enumerate(sizes):
        labels = PlacedLabels(
            keypoints=rng.uniform(0, 9, (count, 2, 2)).astype(np.float32),
            occluded=rng.integers(0, 2, (count, 2)).astype(bool),
            boxes=rng.uniform(0, 9, (count, 4)).astype(np.float32),
            areas=rng.uniform(1, 9, count).astype(np.float32),
            identity=np.arange(count),
            unique_keypoints=rng.uniform(0, 9, (1, 2)).astype(np.float32),
        )
        made.append(
            Sample(rng.integers(0, 256, (height, width, 3), np.uint8), labels, rng.normal(size=(3, 3)), index)
        )
    batch = collate(made)
    for row, sample in enumerate(made):
        height, width = sample.image.shape[:2]
        image = batch.images[row].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(image[:height, :width], sample.image)
        assert image.sum(dtype=np.int64) == sample.image.sum(dtype=np.int64)
        count = len(sample.labels.keypoints)
        for name in ("keypoints", "occluded", "boxes", "areas", "identity"):
            np.testing.assert_array_equal(
                getattr(batch.labels, name)[row, :count], getattr(sample.labels, name)
            )
        assert torch.isnan(batch.labels.keypoints[row, count:]).all()
        assert (batch.labels.identity[row, count:] == -1).all()
        np.testing.assert_array_equal(batch.matrices[row], sample.matrix)


def test_matrices_lead_back_to_the_image(project):
    batch = collate([samples(project, augmented=True)[epoch, 0] for epoch in range(12)])
    truth = project.images[0].instances.keypoints
    for matrix, keypoints in zip(batch.matrices.numpy(), batch.labels.keypoints.numpy(), strict=True):
        back = transform_points(keypoints, np.linalg.inv(matrix))
        expected = truth[:, ::-1] if np.linalg.det(matrix[:2, :2]) < 0 else truth
        visible = ~np.isnan(back)
        np.testing.assert_allclose(back[visible], expected[visible], atol=1e-3)


def same(one: Sample, other: Sample) -> bool:
    return one.image.tobytes() == other.image.tobytes() and np.array_equal(one.matrix, other.matrix)


def test_a_sample_depends_on_seed_epoch_and_number_alone(project):
    first, second = samples(project, augmented=True), samples(project, augmented=True, cache_bytes=0)
    forwards = [first[3, n] for n in (0, 1, 2)]
    backwards = [second[3, n] for n in (2, 1, 0)][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not same(first[4, 0], forwards[0])
    assert not same(samples(project, augmented=True, seed=1)[3, 0], forwards[0])
    second.set_epoch(3)
    assert same(second[1], forwards[1])


def test_worker_processes_give_the_same_batches(project):
    data = samples(project, augmented=True)
    keys = [(5, 0), (5, 1), (5, 2), (6, 0)]
    here = [collate([data[k] for k in keys[:2]]), collate([data[k] for k in keys[2:]])]
    loader = DataLoader(
        data,
        2,
        sampler=keys,
        collate_fn=collate,
        num_workers=1,
        worker_init_fn=init_worker,
        multiprocessing_context="spawn",
    )
    there = list(loader)
    assert len(there) == 2
    for mine, theirs in zip(here, there, strict=True):
        assert torch.equal(mine.images, theirs.images)
        assert torch.equal(mine.matrices, theirs.matrices)
        assert theirs.images.is_contiguous(memory_format=torch.channels_last)


def test_view_animal_gives_one_sample_an_animal_which_comes_first(project):
    preprocess = Preprocess(view="animal", size=(64, 96), margin=0.25, min_box=17.5)
    data = samples(project, preprocess=preprocess)
    assert len(data) == 3
    batch = collate(list(data))
    assert batch.indices.tolist() == [0, 0, 1]
    assert batch.images.shape == (3, 3, 64, 96)
    assert batch.labels.identity[:, 0].tolist() == [0, 1, 1]
    geometry = compute_crop_geometry([20, 30, 50, 40], (64, 96), 0.25)
    np.testing.assert_array_equal(data[0].image, warp(read_image(project.images[0].image), geometry))
    np.testing.assert_allclose(
        batch.labels.keypoints[0, 0], transform_points([[20, 30], [50, 40]], geometry.matrix), atol=1e-4
    )
    # A single keypoint does not say how large its animal is: its box is made as long as is asked for.
    assert float(batch.matrices[1, 0, 0]) == pytest.approx(64 / (17.5 * 1.5))
    np.testing.assert_allclose(batch.labels.keypoints[1, 0, 0], [47.5, 31.5], atol=1e-4)


def test_view_animal_is_augmented_about_its_animal(project):
    preprocess = Preprocess(view="animal", size=(64, 96), margin=0.25, min_box=0.0)
    # The crop of frames, still undecided, plays no part here.
    data = samples(project, preprocess=preprocess, augmenter=Augmenter(DecidedAugmentationSpec(), SKELETON))
    centre = transform_points([35, 35], data[0].matrix)
    np.testing.assert_allclose(centre, [47.5, 31.5], atol=1e-3)
    assert not same(data[0, 0], data[1, 0])


def test_a_fixed_size_holds_in_training_and_validation(project):
    preprocess = Preprocess(size=(64, 96))
    crop = Augmenter(AUGMENTATION, SKELETON)
    whole = Augmenter(DecidedAugmentationSpec(crop=DecidedCropSpec(size=None)), SKELETON)
    for augmenter in (None, crop, whole):
        batch = collate(list(samples(project, preprocess=preprocess, augmenter=augmenter)))
        assert batch.images.shape == (3, 3, 64, 96)


@pytest.mark.parametrize(
    ("preprocess", "crop", "said"),
    [
        (Preprocess(scale=1.0), (70, 96), r"augmentation.crop.size: .*multiples of 32.* use \[96, 96\]"),
        (
            Preprocess(view="animal", size=(50, 50), min_box=0.0),
            None,
            r"model.preprocess.size: .* use \[64, 64\]",
        ),
        (Preprocess(size=(64, 64)), (96, 96), r"augmentation.crop.size: must be \[64, 64\] or null"),
    ],
)
def test_sizes_that_do_not_suit_the_network_are_refused(project, preprocess, crop, said):
    augmenter = Augmenter(DecidedAugmentationSpec(crop=DecidedCropSpec(size=crop)), SKELETON)
    with pytest.raises(ConfigError, match=said) as caught:
        samples(project, preprocess=preprocess, augmenter=augmenter)
    assert "\n" not in str(caught.value)


def test_undecided_values_are_refused():
    with pytest.raises(ConfigError, match=r"augmentation\.crop\.size: is still 'auto'"):
        AugmentationSpec().decided()
    window = DecidedCropSpec(size=(32, 64))
    for key in ("rotation", "scale", "flip"):
        values = {"rotation": 10, "scale": (1, 1), "flip": 0, key: "auto"}
        with pytest.raises(ConfigError, match=rf"augmentation\.{key}: is still 'auto'"):
            AugmentationSpec.model_validate({"crop": {"size": (32, 64)}, **values}).decided()
    assert DecidedAugmentationSpec(crop=window).decided().crop.size == (32, 64)


def test_regions_to_ignore_are_black_and_unlabelled_in_training_only(project):
    record = replace(project.images[0], ignore=np.array([[70, 50, 95.5, 80]], np.float32))
    data = replace(project, images=(record,))
    nothing = DecidedAugmentationSpec(
        rotation=0,
        scale=(1, 1),
        flip=0,
        crop=DecidedCropSpec(size=None),
        transforms={name: {"p": 0} for name in TRANSFORMS},
    )
    training = samples(data, rows=[0], augmenter=Augmenter(nothing, SKELETON))[0]
    validation = samples(data, rows=[0])[0]
    assert training.image[50:81, 70:96].max() == 0
    assert validation.image[50:81, 70:96].min() > 0
    untouched = np.ones(training.image.shape[:2], bool)
    untouched[50:81, 70:96] = False
    np.testing.assert_array_equal(training.image[untouched], validation.image[untouched])
    assert len(training.labels.keypoints) == 1
    assert len(validation.labels.keypoints) == 2


def test_images_are_decoded_once_while_the_cache_has_room(project, monkeypatch):
    decoded = []

    def counting(reference: ImageFile):
        decoded.append(reference.name)
        return read_image(reference)

    monkeypatch.setattr("pose_core.data.samples.read_image", counting)
    small = samples(project, preprocess=Preprocess(scale=0.5), cache_bytes=60 * 50 * 3)
    for _ in range(3):
        [small[number] for number in range(3)]
    assert sorted(decoded) == ["0.png", "1.png", "1.png", "1.png", "2.png", "2.png", "2.png"]


def test_the_cache_keeps_to_its_budget():
    cache = ImageCache(100)
    small, large = np.zeros((5, 4, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)
    cache.put(0, small)
    cache.put(1, large)
    assert cache.get(0) is small
    assert cache.get(1) is None
    assert cache.get(2) is None


def test_a_batch_moves_to_a_device(project):
    batch = collate(list(samples(project)))
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    assert moved.images.device.type == moved.labels.keypoints.device.type == "meta"
    # float64 does not exist on every device; what maps coordinates back stays on the CPU.
    assert moved.matrices.device.type == "cpu"
    assert torch.equal(batch.to("cpu").images, batch.images)


def test_an_image_that_has_another_size_than_the_project_says(project):
    cv2.imwrite(str(project.images[0].image.path), np.zeros((100, 121, 3), np.uint8))
    with pytest.raises(DataError, match=r"0.png has 121 x 100 pixels, but the project was read as 120 x 100"):
        samples(project)[0]


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_images_are_read_as_rgb_whatever_their_kind(tmp_path):
    rng = np.random.default_rng(0)
    bgr = rng.integers(0, 256, (6, 5, 3), np.uint8)
    np.testing.assert_array_equal(read_image(ImageFile(write(tmp_path / "ä.png", bgr))), bgr[..., ::-1])
    gray = bgr[..., 0]
    np.testing.assert_array_equal(
        read_image(ImageFile(write(tmp_path / "gray.png", gray))), np.stack([gray] * 3, axis=-1)
    )
    alpha = np.dstack([bgr, np.full((6, 5), 9, np.uint8)])
    np.testing.assert_array_equal(read_image(ImageFile(write(tmp_path / "alpha.png", alpha))), bgr[..., ::-1])
    deep = read_image(ImageFile(write(tmp_path / "deep.png", gray.astype(np.uint16) * 257)))
    assert abs(deep[..., 0].astype(int) - gray).max() <= 1


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_image_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "frame.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"frame\.png") as caught:
        read_image(ImageFile(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_named(tmp_path):
    path = write(tmp_path / "frame.png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    os.truncate(path, 100)
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(ImageFile(path))
