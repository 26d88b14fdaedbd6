"""Transforms: one movement for pixels and labels, a law that is held at run time, names and chances in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from throw_away_plugins import install, with_site
from torch.utils.data import DataLoader

import pose_core
from pose_core import register
from pose_core.catalog import get_catalog, session
from pose_core.data.augment import Augmenter
from pose_core.data.geometry import warp
from pose_core.data.movements import Placement, check_movement, join_movements
from pose_core.data.sample import place_labels
from pose_core.data.samples import PoseSamples
from pose_core.errors import ConfigError, PluginError
from pose_core.formats.project import ProjectReader
from pose_core.formats.project_config import ProjectReaderConfig
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import (
    FrameGeometry,
    GeometricTransform,
    LabelledView,
    LabelTransform,
    Movement,
    PixelTransform,
    PlacedLabels,
    Transform,
    cover_labels,
)
from pose_core.specs import Preprocess
from pose_core.specs.train import TRANSFORMS, AugmentationSpec, DecidedAugmentationSpec
from pose_core.structures import ImageFile, Instances, LabelledImage, Skeleton
from pose_core.training.prepare import prepare

HEIGHT, WIDTH = 90, 120
SIGMA = 3.0
PAIRED = Skeleton(("left", "right"), symmetry=(("left", "right"),))
UNPAIRED = Skeleton(("left_ear", "right_ear"))
OFF = {name: {"p": 0} for name in TRANSFORMS}


def read(assignments: tuple[str, ...], section: str = "") -> dict[str, Any]:
    """Settings of ``--set`` as values."""
    pairs = (assignment.split("=", 1) for assignment in assignments if assignment.startswith(section))
    return {key: yaml.safe_load(value) for key, value in pairs}


def spec(**transforms: Any) -> DecidedAugmentationSpec:
    """No change but the transforms that are named, which always happen."""
    named = {name: {"p": 1, **settings} for name, settings in transforms.items()}
    return DecidedAugmentationSpec.model_validate(
        {"rotation": 0, "scale": (1, 1), "flip": 0, "transforms": {**OFF, **named}}
    )


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    session.clear()
    get_catalog.cache_clear()


matrices = st.builds(
    lambda angle, zoom, mirror, x, y: np.array(
        [
            [mirror * zoom * np.cos(angle), -zoom * np.sin(angle), x],
            [mirror * zoom * np.sin(angle), zoom * np.cos(angle), y],
        ]
    ),
    st.floats(-0.4, 0.4),
    st.floats(0.8, 1.25),
    st.sampled_from([1.0, 1.0, 1.0, -1.0]),
    st.floats(-10, 10),
    st.floats(-10, 10),
)


def waves(size: float, length: float) -> np.ndarray:
    """A smooth displacement."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    across, down = np.sin(2 * np.pi * rows / length), np.cos(2 * np.pi * columns / length)
    return (size * np.stack([across, down], axis=-1)).astype(np.float32)


displacements = st.none() | st.builds(waves, st.floats(0.5, 4), st.floats(50, 90))
movements = st.builds(Movement, matrices, displacements)


@given(moved=st.lists(movements, min_size=1, max_size=3), x=st.floats(20, 100), y=st.floats(20, 70))
def test_points_go_where_pixels_go_through_any_movements(moved, x, y):
    for movement in moved:
        check_movement(movement, WIDTH, HEIGHT, "waves", mirrors=True)
    placement = join_movements(FrameGeometry(np.eye(3), WIDTH, HEIGHT), moved)
    to = placement.move_points([x, y])
    assume(12 < to[0] < WIDTH - 13 and 12 < to[1] < HEIGHT - 13)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    dot = np.rint(250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * SIGMA**2))).astype(np.uint8)
    mass = placement.move_pixels(dot[..., None].repeat(3, axis=2))[..., 0].astype(float)
    found = [(mass * columns).sum() / mass.sum(), (mass * rows).sum() / mass.sum()]
    # Each displacement stretches a dot unevenly, so that its middle is not quite the image of its middle.
    bent = sum(m.displacement is not None for m in moved)
    assert np.hypot(*(found - to)) < (0.5 + 0.5 * bent if bent else 0.15)


@given(st.lists(st.builds(Movement, matrices), min_size=2, max_size=3))
def test_affine_movements_are_one_matrix_and_the_image_is_resampled_once(moved):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    placement = join_movements(FrameGeometry(np.eye(3), WIDTH, HEIGHT), moved)
    whole = np.eye(3)
    for movement in moved:
        whole = np.vstack([movement.matrix, [0, 0, 1]]) @ whole
    assert placement.steps == ()
    np.testing.assert_allclose(placement.geometry.matrix, whole, atol=1e-9)
    np.testing.assert_array_equal(
        placement.move_pixels(image), warp(image, FrameGeometry(placement.matrix, WIDTH, HEIGHT))
    )


def test_a_displacement_of_nothing_gives_the_pixels_that_the_matrix_alone_gives():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    turned = FrameGeometry(np.array([[0.4, -0.1, 7.3], [0.1, 0.4, 2.8], [0, 0, 1]]), WIDTH, HEIGHT)
    still = Movement(displacement=np.zeros((HEIGHT, WIDTH, 2), np.float32))
    bent, straight = join_movements(turned, [still]), Placement(turned)
    # Both average blocks of pixels first; fractions of a pixel are rounded otherwise.
    gap = abs(bent.move_pixels(image).astype(int) - straight.move_pixels(image).astype(int))
    assert gap.mean() < 1
    points = np.array([[10.0, 20.0], [np.nan, np.nan]])
    np.testing.assert_allclose(bent.move_points(points), straight.move_points(points), atol=1e-3)


def record(keypoints: Any) -> LabelledImage:
    return LabelledImage.create(
        ImageFile(Path("x.png")), "x.png", WIDTH, HEIGHT, Instances.from_keypoints(np.array(keypoints, float))
    )


@given(movement=movements, x=st.floats(30, 60), y=st.floats(20, 40), wide=st.floats(10, 40))
def test_boxes_hold_what_they_held(movement, x, y, wide):
    labelled = record([[[x, y], [x + wide, y + 20]]])
    placement = join_movements(FrameGeometry(np.eye(3), WIDTH, HEIGHT), [movement])
    labels = place_labels(labelled, np.arange(1), placement, PAIRED)
    assume(np.isfinite(labels.boxes).all())
    inside = np.stack(np.meshgrid(np.linspace(x, x + wide, 7), np.linspace(y, y + 20, 7)), axis=-1)
    moved = placement.move_points(inside).reshape(-1, 2)
    seen = moved[((moved > 0) & (moved < [WIDTH - 1, HEIGHT - 1])).all(axis=1)]
    # A bent side lies between the points at which it is measured.
    assert (seen >= labels.boxes[0, :2] - 0.5).all()
    assert (seen <= labels.boxes[0, 2:] + 0.5).all()


@given(size=st.floats(0.5, 4), mirror=st.booleans())
def test_left_and_right_change_places_under_a_mirror_with_a_displacement_too(size, mirror):
    matrix = np.array([[-1.0 if mirror else 1.0, 0, WIDTH - 1 if mirror else 0], [0, 1, 0]])
    placement = join_movements(
        FrameGeometry(np.eye(3), WIDTH, HEIGHT), [Movement(matrix, waves(size, 70)), Movement()]
    )
    points = np.array([[[40.0, 40], [70, 50]]])
    labels = place_labels(record(points), np.arange(1), placement, PAIRED)
    moved = placement.move_points(points)
    np.testing.assert_array_equal(labels.keypoints, moved[:, ::-1] if mirror else moved)


class Mirror(GeometricTransform):
    mirrors = True

    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        return Movement(np.array([[-1.0, 0, width - 1], [0, 1, 0]]))


def test_a_transform_that_mirrors_is_left_out_where_sides_are_not_known():
    register("turnabout", Mirror)
    view = FrameGeometry(np.eye(3), WIDTH, HEIGHT)
    for skeleton, known in ((PAIRED, True), (UNPAIRED, False)):
        augmenter = Augmenter(spec(turnabout={}), skeleton)
        mirrored = np.linalg.det(augmenter.move(view, np.random.default_rng(0)).matrix) < 0
        assert mirrored == known
        assert any("turnabout is left out, as it mirrors" in note for note in augmenter.notes) != known


class Lost(LabelTransform):
    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        return replace(view, labels=replace(view.labels, keypoints=view.labels.keypoints[:, 1:]))


class Swapped(LabelTransform):
    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        view.labels.keypoints[:] = view.labels.keypoints[:, ::-1].copy()
        return view


class Doubled(LabelTransform):
    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        labels = view.labels
        twice = {n: np.concatenate([v, v]) for n, v in vars(labels).items() if v is not None}
        return replace(view, labels=PlacedLabels(**{**twice, "unique_keypoints": labels.unique_keypoints}))


class Floating(PixelTransform):
    def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
        return image / 255


class Cropped(PixelTransform):
    def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
        return image[1:]


class Careless(PixelTransform):
    def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
        np.random.shuffle(image)
        return image


class Failing(PixelTransform):
    def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
        raise KeyError("colour")


class Folding(GeometricTransform):
    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        return Movement(displacement=rng.uniform(-3, 3, (height, width, 2)).astype(np.float32))


class Flat(GeometricTransform):
    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        return Movement(np.array([[1.0, 0, 0], [1.0, 0, 0]]))


class Secret(GeometricTransform):
    draw_movement = Mirror.draw_movement


class Tilted(GeometricTransform):
    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        return Movement(np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]]))


class Nothing(Transform):
    pass


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Lost, r"makes labels.keypoints \(1, 1, 2\) float32; it must be \(1, 2, 2\) float32"),
        (Swapped, r"moves labels.keypoints\[0, 0\], which only the movement of a GeometricTransform may"),
        (Doubled, "makes 2 animals of 1"),
        (Floating, "float64 of one .* uint8"),
        (Cropped, r"makes an image .*uint8 of one .*, which it must remain"),
        (Careless, "draws from the global random numbers of numpy"),
        (Failing, "KeyError: 'colour'"),
        (Folding, "from a pixel to the next, so that keypoints may be lost or doubled"),
        (Flat, "onto a line, and keypoints are lost"),
        (Secret, "mirrors the image without 'mirrors = True'"),
        (Tilted, "not affine"),
        (Nothing, "is no GeometricTransform, PixelTransform or LabelTransform"),
    ],
)
def test_what_breaks_the_law_ends_a_training_in_one_line_that_names_it(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path, made: type[Transform], said: str
) -> None:
    register("broken", made)
    settings: dict[str, Any] = {"augmentation.transforms.mine": {"type": "broken", "p": 1}}
    settings |= {"augmentation.crop.size": None} | read(tiny_settings, "model")
    options: dict[str, Any] = {"images": 1, "settings": settings}
    with pytest.raises(PluginError, match=said) as refused:
        pose_core.draw_batch(blob_project, tmp_path / "batch.png", "unet", **options)
    assert re.search(r"transforms?[ .]mine", str(refused.value))
    assert "\n" not in str(refused.value)


def test_the_line_is_what_a_training_ends_with(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    register("broken", Lost)
    settings: dict[str, Any] = {"augmentation.transforms.mine": {"type": "broken", "p": 1}}
    settings |= read(tiny_settings)
    with pytest.raises(PluginError, match=r"transform mine: makes labels\.keypoints"):
        pose_core.train(blob_project, "unet", out=tmp_path / "run", epochs=1, device="cpu", settings=settings)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        (
            "augmentation.transforms.elastik.p=0.5",
            "no transform 'elastik' is installed; did you mean elastic?",
        ),
        (
            "augmentation.transforms.elastic.p=2",
            "augmentation.transforms.elastic.p: must be at most 1",
        ),
        ("augmentation.transforms.erase.holes=2", "augmentation.transforms.erase.holes"),
        ("augmentation.transforms.mine={p: 1, type: 7}", "augmentation.transforms.mine: needs 'type'"),
    ],
)
def test_a_wrong_name_or_chance_is_one_line(
    pose: Any, blob_project: Path, assignment: str, said: str
) -> None:
    line = pose.refuses("train", blob_project, "--model", "unet", "--out", "run", "--set", assignment)
    assert re.search(said, line), line


def test_transforms_that_add_animals_are_for_models_of_several(blob_project: Path) -> None:
    class Adding(LabelTransform):
        adds_animals = True

        def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
            return view

    register("adding", Adding)
    with pytest.raises(ConfigError, match=r"augmentation\.transforms\.adding: adds animals"):
        prepare(blob_project, "unet", assignments=["augmentation.transforms.adding={}"])
    assert prepare(blob_project, "unet", assignments=["augmentation.transforms.adding.p=0"])
    assert prepare(blob_project, "top_down_unet", assignments=["augmentation.transforms.adding={}"])


def test_a_list_keeps_the_four_that_are_always_there_and_their_order() -> None:
    made = AugmentationSpec.model_validate({"transforms": {"extra": {"type": "noise"}, "erase": {"most": 3}}})
    assert list(made.transforms) == [*TRANSFORMS, "extra"]
    assert made.transforms["erase"].p == 0.2
    assert made.transforms["extra"].p == 0.5
    assert AugmentationSpec.model_validate(made.model_dump()) == made
    assert AugmentationSpec().transforms["noise"].type == "core/noise"


def test_a_chance_is_how_often_it_happens(blob_project: Path) -> None:
    class Black(PixelTransform):
        def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
            return image * 0

    register("black", Black)
    data = ProjectReader(ProjectReaderConfig()).read(blob_project)
    for chance in (0.25, 1.0):
        augmenter = Augmenter(spec(black={"p": chance}), data.skeleton)
        samples = PoseSamples(data, range(8), Preprocess(scale=1.0), 1, augmenter, 0, 1 << 22)
        black = [not samples[epoch, number].image.any() for epoch in range(50) for number in range(8)]
        assert np.mean(black) == pytest.approx(chance, abs=0.08)


def test_an_image_that_is_a_view_of_another_array_is_taken(blob_project: Path) -> None:
    class Inverted(PixelTransform):
        def change_pixels(self, image: Any, rng: np.random.Generator) -> Any:
            changed = image[..., ::-1]
            changed.setflags(write=False)
            return changed

    register("inverted", Inverted)
    data = ProjectReader(ProjectReaderConfig()).read(blob_project)
    # OpenCV takes no negative strides, and the second rectangle is painted in place.
    after = {"blurred": {"type": "motion_blur"}, "covered": {"type": "erase"}}
    augmenter = Augmenter(spec(inverted={}, **after), data.skeleton)
    sample = PoseSamples(data, range(1), Preprocess(scale=1.0), 1, augmenter, 0, 0)[0]
    assert sample.image.flags.c_contiguous


EVERYTHING: dict[str, Any] = {
    "elastic": {"p": 0.7},
    "equalize": {},
    "clahe": {},
    "gray": {},
    "hue_saturation": {},
    "gamma": {},
    "jpeg": {},
    "isolate": {"p": 0.3},
    "copy_paste": {},
    "covering": {"type": "erase", "most": 4, "covered": "remove"},
}


def test_a_seed_gives_the_same_samples_in_any_order_and_in_other_processes(blob_project: Path) -> None:
    data = ProjectReader(ProjectReaderConfig()).read(blob_project)

    def samples() -> PoseSamples:
        augmenter = Augmenter(
            DecidedAugmentationSpec.model_validate({"transforms": EVERYTHING}), data.skeleton
        )
        return PoseSamples(data, range(6), Preprocess(scale=1.0), 1, augmenter, 3, 1 << 20)

    keys = [(epoch, number) for epoch in range(2) for number in range(6)]
    here, backwards = samples(), samples()
    first = [here[key] for key in keys]
    second = [backwards[key] for key in reversed(keys)][::-1]
    loader: DataLoader[Any] = DataLoader(samples(), None, sampler=keys, num_workers=2)  # type: ignore[arg-type]
    third = list(loader)
    for one, two, three in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.image, np.asarray(three.image))
        np.testing.assert_array_equal(one.labels.keypoints, np.asarray(three.labels.keypoints))
        np.testing.assert_array_equal(one.labels.occluded, two.labels.occluded)
    assert any((a.image != b.image).any() for a, b in zip(first[:6], first[6:], strict=True))


@pytest.mark.parametrize("model", ["identity_unet", "top_down_unet"])
def test_models_of_several_animals_learn_from_animals_that_were_put_in(model: str, tmp_path: Path) -> None:
    """Heads of several animals and of individuals, detectors, and crops: all take labels of all transforms."""
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("nose", "tail"), individuals=("a", "b"), identified=True)

    def make_example(number: int) -> Example:
        points = np.array([[[30, 40], [44, 46]], [[90, 40], [104, 46]]]) + rng.uniform(-8, 8, (2, 1, 2))
        image = rng.integers(90, 120, (96, 128, 3)).astype(np.uint8)
        return Example(f"{number}.png", image, Instances.from_keypoints(points, identity=[0, 1]))

    write_project(tmp_path / "pair", skeleton, (make_example(n) for n in range(10)), name="pair")
    networks: dict[str, Any] = {"detector": "ssdlite"} if model == "top_down_unet" else {}
    settings: dict[str, Any] = {"augmentation.transforms": EVERYTHING, "train.epochs": 1}
    settings |= {
        "model.backbone.filters": 4,
        "model.backbone.max_stride": 8,
        "model.backbone.output_stride": 2,
    }
    settings |= {"augmentation.crop.size": [64, 64]} if not networks else {"model.preprocess.size": [48, 48]}
    if networks:
        below = {"augmentation.transforms": EVERYTHING, "train.epochs": 1, "network.pretrained": False}
        settings |= {f"stages.detector.{key}": value for key, value in below.items()}
    run = pose_core.train(
        tmp_path / "pair", model, out=tmp_path / "run", device="cpu", settings=settings, **networks
    )
    assert (run.path / "weights.safetensors").is_file()


@pytest.mark.parametrize("covered", ["keep", "occlude", "remove"])
def test_coverings_say_of_keypoints_what_the_setting_says(blob_project: Path, covered: str) -> None:
    data = ProjectReader(ProjectReaderConfig()).read(blob_project)
    plain = PoseSamples(data, range(8), Preprocess(scale=1.0), 1, None, 0, 1 << 22)
    augmenter = Augmenter(spec(erase={"size": 0.6, "most": 3, "covered": covered}), data.skeleton)
    erased = PoseSamples(data, range(8), Preprocess(scale=1.0), 1, augmenter, 0, 1 << 22)
    behind = 0
    for number in range(8):
        before, after = plain[number], erased[number]
        x, y = np.rint(before.labels.keypoints[0]).astype(int).T
        # A disc of its own colour in noise: a gray pixel at its middle is a rectangle's.
        pixels = after.image[y, x].astype(int)
        hidden = np.ptp(pixels, axis=1) == 0
        behind += hidden.sum()
        np.testing.assert_array_equal(
            np.isnan(after.labels.keypoints[0, :, 0]), hidden & (covered == "remove")
        )
        np.testing.assert_array_equal(after.labels.occluded[0], hidden & (covered == "occlude"))
    assert behind >= 4


def test_covered_unique_keypoints_are_removed_and_missing_ones_stay_missing() -> None:
    nan = np.nan
    labels = PlacedLabels(
        keypoints=np.array([[[1, 1], [nan, nan]]], np.float32),
        occluded=np.array([[True, False]]),
        boxes=np.zeros((1, 4), np.float32),
        areas=np.zeros(1, np.float32),
        identity=np.zeros(1, int),
        unique_keypoints=np.array([[1, 1], [3, 3], [nan, nan]], np.float32),
    )
    hidden = np.zeros((5, 5), bool)
    hidden[:2, :2] = True
    removed, occluded = (cover_labels(labels, hidden, what) for what in ("remove", "occlude"))
    np.testing.assert_array_equal(removed.unique_keypoints, [[nan, nan], [3, 3], [nan, nan]])
    assert np.isnan(removed.keypoints).all()
    assert not removed.occluded.any()
    np.testing.assert_array_equal(occluded.occluded, [[True, False]])
    assert cover_labels(labels, hidden, "keep") is labels


def test_rotation_zoom_and_shift_have_a_chance_of_their_own() -> None:
    base = FrameGeometry(np.eye(3), WIDTH, HEIGHT)
    settings = {"rotation": 90, "scale": (0.5, 2), "translation": 0.3, "flip": 0, "p": 0.25}
    augmenter = Augmenter(DecidedAugmentationSpec.model_validate(settings), PAIRED)
    still = [
        np.allclose(augmenter.animal_geometry(base, np.random.default_rng(seed)).matrix, np.eye(3))
        for seed in range(400)
    ]
    assert np.mean(still) == pytest.approx(0.75, abs=0.08)


STRANGER = {
    "plugin.py": """
from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="leaning", summary="A toy", license="MIT", hook_api="1.0")

@hookimpl
def pose_components():
    yield ComponentSpec("transform", "lean", "pose_leaning.lean:LeanConfig", "pose_leaning.lean:Lean", "Leans")
""",
    "lean.py": '''
from pydantic import Field
from pose_core.specs import TransformConfig

class LeanConfig(TransformConfig):
    """Leaning images."""

    most: float = Field(0.2, ge=0, le=1, description="Pixels to the side for each pixel down, at most.")

def __getattr__(name):
    # Configs are read without torch, which the interfaces bring in.
    if name != "Lean":
        raise AttributeError(name)
    import numpy as np
    from pose_core.interfaces import GeometricTransform, Movement

    class Lean(GeometricTransform):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.most = config.most

        def draw_movement(self, width, height, rng):
            lean = rng.uniform(-self.most, self.most)
            return Movement(np.array([[1.0, lean, -lean * (height - 1) / 2], [0.0, 1.0, 0.0]]))

    return Lean
''',
}


@pytest.mark.slow
def test_a_strangers_transform_trains_by_its_name(
    pose: Any, blob_project: Path, tmp_path: Path, tiny_settings: tuple[str, ...]
) -> None:
    install(tmp_path, "leaning", "leaning", STRANGER)
    file = tmp_path / "lab.yaml"
    file.write_text("augmentation:\n  transforms:\n    lean: {p: 1, most: 0.1}\n")
    options = ("--config", str(file), "--set", "augmentation.transforms.lean.most=0.3", "--epochs", "1")
    process = pose(
        *pose.train_arguments(blob_project, tmp_path / "run", *options), env=with_site(tmp_path), timeout=120
    )
    assert process.returncode == 0, process.stderr
    made = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["augmentation"]["transforms"]
    assert made["lean"] == {"type": "leaning/lean", "p": 1.0, "most": 0.3}
    # Where it is not installed, the run says so in a line.
    line = pose.refuses("show-batch", tmp_path / "run", "--out", "batch.png")
    assert "leaning/lean" in line


@pytest.mark.long
def test_the_decided_configuration_and_the_picture_of_a_batch_have_them(
    pose: Any, blob_project: Path, tmp_path: Path, tiny_settings: tuple[str, ...]
) -> None:
    sets = [part for setting in tiny_settings for part in ("--set", setting)]
    elastic = ["--set", "augmentation.transforms.elastic={p: 1, shift: 3}"]
    process = pose("config", blob_project, "--model", "unet", *sets, *elastic, "--out", "all.yaml")
    assert process.returncode == 0, process.stderr
    written = (tmp_path / "all.yaml").read_text()
    content = yaml.safe_load(written)["augmentation"]
    assert content["transforms"]["elastic"] == {
        "type": "effects/elastic",
        "p": 1.0,
        "shift": 3.0,
        "smoothness": 12.0,
    }
    assert content["rotation"] == 180
    assert "decided by the labels" in re.findall(r"((?:  # .*\n)+)  rotation:", written)[0]
    assert "Standard deviation of displacements" in written
    pictures = []
    for name, extra in (("plain", []), ("bent", elastic)):
        process = pose("show-batch", blob_project, "--model", "unet", *sets, *extra, "--out", f"{name}.png")
        assert process.returncode == 0, process.stderr
        pictures.append((tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] != pictures[1]
