"""Memory replay: a project with some of the keypoints, and weights that know the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core import train
from pose_core.data.batches import collate
from pose_core.data.fingerprint import data_hash
from pose_core.data.images import read_image
from pose_core.data.more_keypoints import extend_skeleton
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, RunError
from pose_core.formats.project_writing import Example, write_project
from pose_core.model.build import build_model
from pose_core.reporting import LogReporter
from pose_core.runs.run_folder import Run
from pose_core.runs.start import start_from
from pose_core.specs import RunSpec
from pose_core.structures import (
    ByteArray,
    FloatArray,
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
)
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.replay import REPLAY, ReplayLabel, fill_labels, predict_labels, read_labels, teach
from pose_core.training.task import PoseTask
from pose_core.training.teacher import match_teacher
from pose_core.training.train_project import train_project

SIZE = 48
GRID = np.stack(np.meshgrid(np.arange(-4.0, 5.0) * 4, (-5.0, 0.0, 5.0)), -1).reshape(-1, 2)
"""27 keypoints, a plate of three rows of nine discs."""
COLOURS = np.random.default_rng(0).integers(0, 255, (27, 3)).tolist()
NAMES = tuple(f"disc{n}" for n in range(27))
OWN = 8
"""So many of them a project labels, under names of its own."""
ALIASES = {f"train.aliases.mine{n}": f"disc{n}" for n in range(OWN)}
REST = NAMES[OWN:]


def draw_plate(rng: np.random.Generator) -> tuple[ByteArray, FloatArray]:
    """A plate somewhere on grey noise, and its 27 keypoints."""
    image = rng.integers(90, 120, (SIZE, SIZE, 3)).astype(np.uint8)
    angle = rng.uniform(-0.2, 0.2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = GRID @ turn + rng.uniform(21, 27, 2)
    for point, colour in zip(points, COLOURS, strict=True):
        cv2.circle(image, [round(v * 16) for v in point], 2 * 16, colour, -1, cv2.LINE_AA, shift=4)
    return image, points.astype(np.float32)


def write_plates(folder: Path, names: tuple[str, ...], images: int, seed: int, labelled: int) -> Path:
    """A project of plates of which the first so many keypoints are labelled."""
    rng = np.random.default_rng(seed)

    def examples() -> Iterator[Example]:
        for number in range(images):
            image, points = draw_plate(rng)
            points = points[: len(names)].copy()
            points[labelled:] = np.nan
            yield Example(f"{number:02d}.png", image, Instances.from_keypoints(points[None]))

    write_project(folder, Skeleton(names), examples(), name=folder.name)
    return folder


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen plates with 8 labelled keypoints."""
    names = tuple(f"mine{n}" for n in range(OWN))
    return write_plates(tmp_path_factory.mktemp("plates") / "some", names, 16, 1, OWN)


@pytest.fixture(scope="module")
def random_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random weights with all 27 keypoints."""
    folder = tmp_path_factory.mktemp("teachers")
    project = write_plates(folder / "all", NAMES, 4, 2, 27)
    train(project, "unet", out=folder / "run", settings=TINY, epochs=1, device="cpu")
    return folder / "run"


TINY = {
    "model.preprocess.scale": 1,
    "model.backbone.filters": 4,
    "model.backbone.max_stride": 8,
    "model.backbone.output_stride": 2,
    "augmentation.crop.size": None,
    "augmentation.rotation": 10,
    "augmentation.flip": 0,
    "augmentation.transforms.erase.p": 0,
    "augmentation.transforms.motion_blur.p": 0,
}


def predict_rest(run: Path, images: list[ByteArray]) -> FloatArray:
    """Positions of the 19 keypoints that only the teacher knows, (images, 19, 2)."""
    estimator = pose_core.load(run, "cpu")
    at = [estimator.skeleton.keypoints.index(name) for name in REST]
    return np.stack([frame.instances.keypoints[0, at] for frame in estimator.predict(images)])


@pytest.mark.slow
def test_replay_keeps_the_keypoints_that_the_project_does_not_label(some: Path, tmp_path: Path) -> None:
    settings = {**TINY, "model.backbone.filters": 8}
    whole = write_plates(tmp_path / "all", NAMES, 48, 0, 27)
    teacher = train(whole, "unet", out=tmp_path / "teacher", settings=settings, epochs=40, device="cpu").path
    rng = np.random.default_rng(9)
    held_out = [draw_plate(rng) for _ in range(12)]
    images = [image for image, _ in held_out]
    before = predict_rest(teacher, images)
    truth = np.stack([points[OWN:] for _, points in held_out])
    assert np.linalg.norm(before - truth, axis=-1).mean() < 1.5, "the teacher has learned something"

    own = {key: value for key, value in TINY.items() if key.startswith("augmentation")}
    replayed = train(
        some,
        out=tmp_path / "with",
        weights=str(teacher),
        replay=True,
        settings={**own, **ALIASES, "train.replay.threshold": 0.2},
        epochs=20,
        device="cpu",
    )
    # The same labels with the 19 keypoints named and never labelled: what happens without replay.
    masked = write_plates(tmp_path / "masked", NAMES, 16, 1, OWN)
    forgetful = train(
        masked, out=tmp_path / "without", weights=str(teacher), settings=own, epochs=20, device="cpu"
    )
    assert isinstance(forgetful.spec, RunSpec)
    forgetful.with_spec(forgetful.spec.model_copy(update={"untrained_keypoints": ()}))

    def change(run: Path) -> float:
        return float(np.linalg.norm(predict_rest(run, images) - before, axis=-1).mean())

    # Measured: 0.58 px and 3.2 px.
    assert change(replayed.path) < 1
    assert change(forgetful.path) > 2


def test_a_run_with_replay_has_all_keypoints_and_is_measured_on_the_labels(
    some: Path, random_run: Path, pose: Any, tmp_path: Path
) -> None:
    settings = [part for key, value in ALIASES.items() for part in ("--set", f"{key}={value}")]
    out = tmp_path / "run"
    process = pose(
        *(
            "train",
            some,
            "--weights",
            random_run,
            "--replay",
            "--out",
            out,
            "--epochs",
            "1",
            "--device",
            "cpu",
        ),
        *("--set", "train.replay.threshold=0", *settings),
    )
    assert process.returncode == 0, process.stderr
    assert f"memory replay: {11 * 19} labels of 19 keypoints" in process.stderr, process.stderr
    assert "mine0 <- disc0 (alias)" in process.stderr
    assert "never predicted" not in process.stderr

    run = Run.open(out, RunSpec)
    assert run.spec.skeleton.keypoints == (*(f"mine{n}" for n in range(OWN)), *REST)
    assert run.spec.replayed_keypoints == REST
    assert run.spec.untrained_keypoints == ()
    assert run.provenance["replay"] == {"file": REPLAY, "labels": dict.fromkeys(REST, 11)}

    # Labels come from training images, the split is by the labels of the project, and so are the metrics.
    labels = read_labels(out / REPLAY)
    assert {label.image for label in labels} == set(run.provenance["split"]["train"])
    pose_core.evaluate(out, device="cpu")
    measured = run.metrics()["test"]
    assert {key["name"]: key["labelled"] > 0 for key in measured["keypoints"]} == {
        name: name.startswith("mine") for name in run.spec.skeleton.keypoints
    }
    assert not any("changed" in note for note in measured["notes"]), measured["notes"]
    assert pose_core.draw_batch(out, tmp_path / "batch.png").is_file()


def prepare_replay(
    project: Path, run: Path, *assignments: str, own: tuple[int, ...] = tuple(range(OWN)), **options: Any
) -> Any:
    aliases = [f"train.aliases.mine{n}=disc{n}" for n in own]
    return prepare(
        project,
        assignments=[*aliases, *assignments],
        options=TrainOptions(weights=str(run), replay=True, **options),
    )


def test_labels_are_what_prediction_finds(some: Path, random_run: Path) -> None:
    prepared = prepare_replay(some, random_run, own=(0, 3, 5), keypoints=["mine0", "mine3", "mine5"])
    # The keypoints that are left out of the project are none of its, and so are the teacher's.
    assert len(prepared.teacher.replayed) == 24
    rows = prepared.split.train
    found = pose_core.load(random_run, "cpu").predict(images := read_images(prepared, rows))
    threshold = float(np.median([frame.instances.keypoint_scores for frame in found]))
    labels = predict_labels(
        prepared.teacher, prepared.dataset, rows, threshold, torch.device("cpu"), LogReporter()
    )
    assert len(images) == len(rows)
    expected = {
        (prepared.dataset.images[row].name, 0, name): (*point, score)
        for row, frame in zip(rows, found, strict=True)
        for name, point, score in zip(
            NAMES, frame.instances.keypoints[0], frame.instances.keypoint_scores[0], strict=True
        )
        if name in prepared.teacher.replayed and score >= threshold
    }
    assert 0 < len(expected) < 24 * len(rows)
    assert {label[:3] for label in labels} == set(expected)
    for label in labels:
        np.testing.assert_allclose(label[3:], expected[label[:3]], atol=1e-3)


def read_images(prepared: Any, rows: tuple[int, ...]) -> list[ByteArray]:
    return [read_image(prepared.dataset.images[row].image) for row in rows]


@pytest.mark.parametrize("method", ["top_down", "bottom_up"])
def test_labels_of_an_animal_are_those_of_its_own_pose(method: str, tmp_path: Path) -> None:
    """Two animals, one in each half of the image: the labels of each are in its half, in the order of the labels."""
    rng = np.random.default_rng(0)
    names, individuals = ("red", "green", "blue"), ("left", "right")
    colours = ((230, 30, 30), (30, 230, 30), (30, 30, 230))
    offsets = np.array([[-8.0, -8], [8, -8], [0, 8]])

    def examples(kept: int) -> Iterator[Example]:
        for number in range(16):
            image = rng.integers(90, 120, (48, 96, 3)).astype(np.uint8)
            centres = np.array([[24.0, 24], [72, 24]]) + rng.uniform(-5, 5, (2, 2))
            points = centres[:, None] + offsets
            for animal in points:
                for point, colour in zip(animal, colours, strict=True):
                    cv2.circle(image, [round(v) for v in point], 4, colour, -1)
            # The labels of the left animal come second.
            yield Example(f"{number}.png", image, Instances.from_keypoints(points[::-1, :kept]))

    edges = (("red", "green"), ("green", "blue"), ("red", "blue"))
    for folder, kept in (("all", 3), ("some", 2)):
        skeleton = Skeleton(names[:kept], edges[: 2 * kept - 3], individuals=individuals)
        write_project(tmp_path / folder, skeleton, examples(kept), name=folder)
    settings = {**TINY, "augmentation.rotation": 0, "model.backbone.filters": 8, "model.method": method}
    if method == "top_down":
        del settings["model.preprocess.scale"]
        settings["model.preprocess.size"] = [32, 32]
    model = "top_down_unet" if method == "top_down" else "unet"
    train(tmp_path / "all", model, out=tmp_path / "run", settings=settings, epochs=30, device="cpu")
    prepared: Any = prepare(
        tmp_path / "some", options=TrainOptions(weights=str(tmp_path / "run"), replay=True)
    )
    rows = prepared.split.train
    labels = predict_labels(
        prepared.teacher, prepared.dataset, rows, 0.05, torch.device("cpu"), LogReporter()
    )
    assert len(labels) > len(rows), "some of both animals"
    assert {label.animal for label in labels} == {0, 1}
    taught = fill_labels(prepared.dataset, rows, labels, 0.0, Path("file"))
    for row in rows:
        animals, blue = taught.images[row].instances, taught.images[row].instances.keypoints[:, 2]
        found = np.isfinite(blue).all(axis=1)
        middle = animals.keypoints[:, :2].mean(axis=1)
        assert (np.abs(blue - middle)[found] < 24).all(), "of this animal, not of the other one"


def test_predictions_teach_and_never_measure(some: Path, random_run: Path, tmp_path: Path) -> None:
    prepared = prepare_replay(some, random_run, "train.replay.threshold=0")
    before = data_hash(prepared.dataset)
    taught = teach(prepared, tmp_path / "run", torch.device("cpu"), LogReporter(), known=False, keep=True)
    assert data_hash(taught.dataset) == before, "the project stays as it is"
    task = PoseTask(taught)
    split = taught.split
    for rows, augment, labelled in (
        (split.train, True, True),
        (split.train, False, False),
        (split.validation, False, False),
    ):
        samples = task.samples(rows, augment=augment)
        there = [np.isfinite(samples[n].labels.keypoints[:, OWN:]).any() for n in range(len(samples))]
        assert all(there) if labelled else not any(there)
    # What is in the folder is what was predicted, and is not predicted again.
    again = teach(prepared, tmp_path / "run", torch.device("meta"), LogReporter(), known=True, keep=True)
    assert again.taught is not None
    assert taught.taught is not None
    assert data_hash(again.taught) == data_hash(taught.taught)


def test_what_nobody_labels_and_nobody_predicts_teaches_nothing(some: Path, random_run: Path) -> None:
    prepared = prepare_replay(some, random_run)
    task = PoseTask(prepared)
    network = build_model(prepared.spec, pretrained=False)
    samples = task.samples(prepared.split.train[:2], augment=True)
    losses = task.losses(network, collate([samples[n] for n in range(2)]))
    torch.stack(list(losses.values())).sum().backward()
    heatmap = [p for name, p in network.named_parameters() if name.startswith("heads.") and len(p) == 27]
    assert heatmap
    for parameter in heatmap:
        assert parameter.grad is not None
        assert parameter.grad[:OWN].abs().sum() > 0
        assert parameter.grad[OWN:].abs().sum() == 0, "an unlabelled keypoint is not background"


def test_a_resumed_training_reads_its_labels(
    some: Path, random_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.replay.threshold=0", "train.validate_every=1", "train.device=cpu")
    whole = prepare_replay(some, random_run, *settings, epochs=3)
    train_network(whole, tmp_path / "whole")
    train_network(prepare_replay(some, random_run, *settings, epochs=1), tmp_path / "parts")
    monkeypatch.setattr("pose_core.training.replay.predict_labels", None)
    train_network(whole, tmp_path / "parts", resume=True)
    parts, straight = (Run.open(tmp_path / name).provenance["replay"] for name in ("parts", "whole"))
    assert parts == straight
    labels = [(tmp_path / name / REPLAY).read_bytes() for name in ("parts", "whole")]
    assert labels[0] == labels[1]

    (tmp_path / "parts" / REPLAY).write_text("image,animal,keypoint,x,y,score\nimages/00.png,0,disc9,1\n")
    with pytest.raises(RunError, match=r"replay\.csv: damaged; restore it, or start a new run"):
        train_network(replace(whole, spec=whole.spec), tmp_path / "parts", resume=True)


@pytest.mark.parametrize(
    ("assignments", "weights", "message"),
    [
        ((), None, r"replay: learns the predictions of the run that .* with weights=RUN$"),
        ((), "none", r"replay: learns the predictions of the run that .* with weights=RUN, not none$"),
        (
            ("train.replay.keypoints=[disc9, tail]",),
            "run",
            r"train\.replay\.keypoints: the run .* has no keypoint 'tail' that the project lacks; there are disc8, ",
        ),
        (("train.replay.threshold=2",), "run", r"train\.replay\.threshold: must be at most 1"),
        (("train.replay.treshold=1",), "run", r"train\.replay\.treshold: unknown key"),
        (("train.aliases.mine0=tail",), "run", r"train\.aliases\.mine0: the weights have no keypoint 'tail'"),
        (("train.aliases.tail=disc0",), "run", r"train\.aliases: the project has no keypoint 'tail'"),
        (("train.replay.threshold=1",), "run", r"finds none of disc8, .* a score of 1; lower "),
    ],
)
def test_requests_that_cannot_be_met_are_refused(
    assignments: tuple[str, ...],
    weights: str | None,
    message: str,
    some: Path,
    random_run: Path,
    tmp_path: Path,
) -> None:
    given = str(random_run) if weights == "run" else weights
    aliases = [f"{key}={value}" for key, value in ALIASES.items()]
    with pytest.raises(ConfigError, match=message):
        train_project(
            some,
            None if weights == "run" else "unet",
            out=tmp_path / "run",
            assignments=[*aliases, *assignments],
            options=TrainOptions(weights=given, replay=True, epochs=1, device="cpu"),
        )
    assert not (tmp_path / "run").exists(), "nothing is left half made"


def test_replay_without_anything_to_keep_is_refused(random_run: Path, tmp_path: Path) -> None:
    whole = write_plates(tmp_path / "whole", NAMES, 4, 2, 27)
    with pytest.raises(ConfigError, match=r"replay: the run .* knows no keypoint that the project lacks"):
        prepare(whole, options=TrainOptions(weights=str(random_run), replay=True))


def test_the_command_says_which_option_is_missing(some: Path, pose: Any, tmp_path: Path) -> None:
    line = pose.refuses("train", some, "--replay", "--model", "unet", "--out", tmp_path / "run")
    assert line.startswith("error: --replay: learns the predictions")
    assert line.endswith("with --weights RUN")


def test_what_learns_no_keypoints_keeps_none(blob_project: Path, random_run: Path, tmp_path: Path) -> None:
    centres = {**TINY, "augmentation.flip": 0}
    train(blob_project, "centroid_unet", out=tmp_path / "centres", settings=centres, epochs=1, device="cpu")
    with pytest.raises(ConfigError, match=r"the run .*centres finds centres, and no keypoints"):
        prepare(blob_project, options=TrainOptions(weights=str(tmp_path / "centres"), replay=True))
    with pytest.raises(ConfigError, match=r"train\.replay: unet/centroid_unet learns no keypoints"):
        prepare(blob_project, "centroid_unet", options=TrainOptions(weights=str(random_run), replay=True))
    with pytest.raises(ConfigError, match=r"train\.replay: torchvision/ssdlite.* learns no keypoints"):
        prepare(
            blob_project,
            networks={"detector": "ssdlite"},
            options=TrainOptions(weights=str(random_run), replay=True),
        )
    with pytest.raises(ConfigError, match=r"stages\.detector\.train\.replay: only the model itself"):
        prepare(
            blob_project,
            "top_down_unet",
            networks={"detector": "ssdlite"},
            assignments=["stages.detector.train.replay={}"],
        )
    with pytest.raises(
        ConfigError, match=r"stages\.conditions: unet/unet would learn none of the keypoints that"
    ):
        prepare(
            blob_project,
            "ctd_prenet_unet",
            networks={"conditions": "unet"},
            options=TrainOptions(weights=str(random_run), replay=True),
        )


points = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(2, 4), st.floats(0, 40, width=32))
)


@given(points)
def test_labels_fill_what_is_empty_and_nothing_else(drawn: list[tuple[int, int, int, float]]) -> None:
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("a", "b", "c", "d", "e"), individuals=("one", "two"))
    keypoints = rng.uniform(0, 40, (4, 2, 5, 2)).astype(np.float32)
    keypoints[:, :, 2:] = np.nan
    images = tuple(
        LabelledImage.create(
            ImageFile(Path(f"{n}.png")), f"{n}", 48, 48, Instances.from_keypoints(keypoints[n])
        )
        for n in range(4)
    )
    dataset = LabelledDataset(skeleton, images, Path("p"), "p")
    labels = [ReplayLabel(f"{n}", animal, "abcde"[k], v, v / 2, 0.5) for n, animal, k, v in drawn]
    expected = keypoints.copy()
    for (n, animal, k, v), _ in zip(drawn, labels, strict=True):
        expected[n, animal, k] = v, v / 2
    filled = fill_labels(dataset, range(4), labels, 0.0, Path("file"))
    for n in range(4):
        np.testing.assert_array_equal(filled.images[n].instances.keypoints, expected[n])
        np.testing.assert_array_equal(filled.images[n].instances.boxes, images[n].instances.boxes)
    if labels:
        with pytest.raises(RunError, match="is not in the training images; the project has changed"):
            fill_labels(dataset, (), labels, 0.0, Path("file"))


def test_a_skeleton_is_extended_by_what_the_other_one_knows() -> None:
    own = Skeleton(
        ("snout", "left", "tail"), edges=(("snout", "tail"),), unique_keypoints=("corner",), landmarks=()
    )
    other = Skeleton(
        ("nose", "left", "right", "end", "tail"),
        edges=(("nose", "end"), ("nose", "left"), ("end", "tail")),
        symmetry=(("left", "right"),),
        unique_keypoints=("door", "corner"),
    )
    extended = extend_skeleton(
        own, other, {"nose": "snout", "end": "tail", "left": "left"}, ("right", "door")
    )
    assert extended.keypoints == ("snout", "left", "tail", "right")
    # The limb nose - end is snout - tail, which is there; end - tail would join a keypoint that is left out.
    assert extended.edges == (("snout", "tail"), ("snout", "left"))
    assert extended.symmetry == (("left", "right"),)
    assert extended.unique_keypoints == ("corner", "door")
    with pytest.raises(ConfigError, match=r"have a keypoint 'tail' that is another one than that of the pro"):
        extend_skeleton(own, other, {"end": "tail"}, ("tail",))


def test_a_conversion_table_names_what_both_know(random_run: Path, some: Path) -> None:
    dataset = read_project(some)
    table = {f"mine{n}": [f"disc{n + 3}", "of another model"] for n in range(OWN)}
    dataset = replace(dataset, metadata={"aliases": json.dumps(table)})
    teacher = match_teacher(Run.open(random_run, RunSpec), dataset, {"mine0": "disc0"}, None, "--replay")
    assert teacher.names["mine0"] == "disc0", "what the user says comes first"
    assert teacher.names["mine7"] == "disc10"
    assert teacher.replayed == ("disc1", "disc2", "disc3", *(f"disc{n}" for n in range(11, 27)))
    extended = teacher.extend(dataset)
    assert extended.skeleton.num_keypoints == OWN + 19
    for before, after in zip(dataset.images, extended.images, strict=True):
        np.testing.assert_array_equal(after.instances.keypoints[:, :OWN], before.instances.keypoints)
        assert np.isnan(after.instances.keypoints[:, OWN:]).all()
        np.testing.assert_array_equal(after.instances.boxes, before.instances.boxes)


def test_the_conversion_table_of_a_deeplabcut_project(random_run: Path, tmp_path: Path) -> None:
    """Body parts with names of their own, and DeepLabCut's table of what they are called in the weights."""
    rng = np.random.default_rng(4)
    parts, folder = ("snout", "rump"), tmp_path / "labeled-data" / "clip"
    folder.mkdir(parents=True)
    rows = ["scorer,,,Ada,Ada,Ada,Ada", "bodyparts,,,snout,snout,rump,rump", "coords,,,x,y,x,y"]
    for number in range(8):
        image, points = draw_plate(rng)
        cv2.imwrite(str(folder / f"img{number}.png"), image[..., ::-1])
        rows.append(
            f"labeled-data,clip,img{number}.png,{','.join(f'{v:.2f}' for v in points[[0, 8]].ravel())}"
        )
    (folder / "CollectedData_Ada.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "config.yaml").write_text(
        "Task: plates\nscorer: Ada\ndate: Oct30\nmultianimalproject: false\nidentity: null\n"
        f"project_path: {tmp_path}\nvideo_sets: {{}}\nskeleton: []\nbodyparts: [{', '.join(parts)}]\n"
        "SuperAnimalConversionTables:\n  superanimal_plate: {snout: disc0, rump: disc8}\n"
    )
    prepared: Any = prepare(tmp_path, options=TrainOptions(weights=str(random_run), replay=True))
    assert prepared.spec.skeleton.keypoints == (*parts, *(n for n in NAMES if n not in ("disc0", "disc8")))
    network = build_model(prepared.spec, pretrained=False)
    lines = start_from(network, str(random_run), metadata=prepared.spec.metadata).lines
    assert "  snout <- disc0 (alias)" in lines
    assert not any("new" in line or "not used" in line for line in lines)


def test_a_detector_beside_replay_is_measured_by_itself(some: Path, random_run: Path, tmp_path: Path) -> None:
    """The networks under stages know the keypoints that the project lacks, and learn none of them."""
    run = train(
        some,
        "top_down_unet",
        out=tmp_path / "run",
        weights=str(random_run),
        replay=True,
        detector="ssdlite",
        settings={
            **ALIASES,
            **{key: value for key, value in TINY.items() if key.startswith("model.backbone")},
            "model.preprocess.size": [48, 48],
            "augmentation.flip": 0,
            "train.replay.threshold": 0,
            "stages.detector.train.weights": "none",
            "stages.detector.network.size": [64, 64],
        },
        epochs=1,
        device="cpu",
    )
    assert len(read_labels(run.path / REPLAY)) == 11 * 19
    assert run.stages["detector"].spec.skeleton == run.spec.skeleton
    result: Any = pose_core.evaluate(run.path / "stages" / "detector", device="cpu")
    assert not result.notes, "the labels are those of the training"
    # From a configuration that is written down, the same run.
    config = tmp_path / "config.yaml"
    decided = pose_core.make_config(
        some, out=config, weights=str(random_run), replay=True, settings=ALIASES, epochs=1
    )
    prepared = prepare(some, config=config)
    assert prepared.spec == decided.spec
    assert not any("not from the configuration file" in note for note in prepared.notes), prepared.notes
