"""Evaluation predicts what prediction predicts: number for number, for every method and every source of boxes
or poses.

The networks are small and their weights random; what they find is nonsense, and the same nonsense is wanted
twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pose_core
from pose_core.catalog import get_catalog
from pose_core.data.boxes import CropRule
from pose_core.data.fingerprint import data_hash
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError
from pose_core.evaluation.run import evaluate_poses
from pose_core.formats.parquet import ParquetPredictions
from pose_core.formats.project_writing import Example, write_project
from pose_core.io.images import read_image_file
from pose_core.model.build import build_model
from pose_core.prediction.predict import predict
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.specs.resolve import Layer, resolve
from pose_core.structures import Frame, Instances, LabelledDataset, Skeleton

SMALL = {"filters": 4, "max_stride": 8, "output_stride": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "single_animal": {
        "name": "unet",
        "model": {"backbone": SMALL, "preprocess": {"scale": 1.0, "min_box": 0.0}},
    },
    "bottom_up": {"name": "unet", "model": {"backbone": SMALL, "preprocess": {"scale": 1.0, "min_box": 0.0}}},
    "centroid": {
        "name": "centroid_unet",
        "model": {"backbone": SMALL, "preprocess": {"scale": 1.0, "min_box": 0.0}},
    },
    "top_down": {
        "name": "top_down_unet",
        "model": {"backbone": SMALL, "preprocess": {"size": [32, 48], "scale": 1.0, "min_box": 20.0}},
    },
    "conditional_top_down": {
        "name": "ctd_prenet_unet",
        "model": {
            "backbone": {"backbone": SMALL},
            "preprocess": {"size": [32, 48], "scale": 1.0, "min_box": 20.0},
        },
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LabelledDataset:
    """Nine images of two sizes, with up to three animals and a keypoint that exists once a frame."""
    rng = np.random.default_rng(0)
    names = ("nose", "middle", "tail")
    skeleton = Skeleton(names, (("nose", "middle"), ("middle", "tail")), individuals=("one", "two", "three"))

    def example(number: int) -> Example:
        height, width = ((64, 96), (72, 80))[number % 2]
        points = rng.uniform((8, 8), (width - 8, height - 8), (number % 4, 3, 2)).astype(np.float32)
        image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        return Example(f"{number}.png", image, Instances.from_keypoints(points))

    folder = tmp_path_factory.mktemp("data") / "project"
    write_project(folder, skeleton, [example(n) for n in range(9)], name="nonsense")
    return read_project(folder)


@pytest.fixture(scope="module")
def make(dataset: LabelledDataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Makes the run of a network with random weights."""

    def run(method: str) -> Run:
        settings = SETTINGS[method]
        (preset,) = get_catalog().model(settings["name"], method)
        data = {"skeleton": dataset.skeleton, "data": {"source": str(dataset.root)}}
        user = {"model": settings["model"], "evaluation": {"bootstrap": 0}, "inference": {"batch_size": 2}}
        spec = resolve(preset, Layer(data), [Layer(user)])
        made = Run.create(tmp_path_factory.mktemp(method) / "run", spec, provenance(dataset))
        made.save_weights(drawn(build_model(spec).state_dict()))
        return made

    return run


def drawn(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights so large that much is found, and no head starts out flat."""
    torch.manual_seed(1)
    every = {name: torch.randn_like(t) * 2 / t[0].numel() ** 0.5 for name, t in state.items() if t.dim() > 1}
    biases = {
        name: torch.zeros_like(t) for name, t in state.items() if name.startswith("heads") and t.dim() == 1
    }
    return {**state, **biases, **every}


def provenance(dataset: LabelledDataset) -> dict[str, Any]:
    names = [image.name for image in dataset.images]
    return {
        "split": {"train": names[:4], "validation": [], "test": names[4:]},
        "data_hash": data_hash(dataset),
    }


def make_detector(dataset: LabelledDataset, folder: Path) -> Path:
    """A detector with random weights, which finds boxes everywhere."""
    spec = DetectorRunSpec.model_validate(
        {
            "skeleton": dataset.skeleton,
            "data": {"source": str(dataset.root)},
            "network": {
                "type": "ssdlite",
                "threshold": 0.0,
                "pretrained": False,
                "size": [64, 64],
                "excess": 1.5,
            },
            "min_box": 20.0,
        }
    )
    run = Run.create(folder, spec, provenance(dataset))
    torch.manual_seed(2)
    run.save_weights(build_model(spec).state_dict())
    return folder


def box_file(dataset: LabelledDataset, path: Path) -> Path:
    """The boxes of the labels, as a user would write them."""
    lines = ["image,x1,y1,x2,y2"]
    for record in dataset.images:
        boxes = CropRule(dataset.skeleton, 20.0).around_labels(record).astype(np.float64).tolist()
        lines += [f"{record.image.path.name},{','.join(map(repr, box))}" for box in boxes]
    path.write_text("\n".join(lines))
    return path


SOURCES = (
    ("single_animal", "none"),
    ("bottom_up", "none"),
    ("centroid", "none"),
    ("top_down", "detector"),
    ("top_down", "boxes"),
    ("top_down", "labelled"),
    ("conditional_top_down", "run"),
    ("conditional_top_down", "file"),
)


def test_every_method_is_covered() -> None:
    assert {method for method, _ in SOURCES} == {method.name for method in get_catalog().methods()}


@pytest.mark.parametrize(("method", "source"), SOURCES)
def test_evaluation_predicts_what_prediction_predicts(
    method: str, source: str, dataset: LabelledDataset, make: Callable[[str], Run], tmp_path: Path
) -> None:
    run = make(method)
    sources: dict[str, Any] = {}
    if source == "detector":
        sources = {"detector": make_detector(dataset, tmp_path / "detector")}
    elif source in ("boxes", "labelled"):
        sources = {"boxes": box_file(dataset, tmp_path / "boxes.csv")}
    elif source == "run":
        sources = {"conditions": make("bottom_up").path}
    tested = [image.image.path for image in dataset.images[4:]]
    if source == "file":
        (found,) = predict(make("bottom_up").path, tested, tmp_path / "initial", device="cpu")
        assert found is not None
        sources = {"conditions": found.result}
    (outcome,) = predict(run.path, tested, tmp_path / "out", device="cpu", **sources)
    assert outcome is not None
    evaluated = evaluate_poses(
        run, device="cpu", **({"labelled_boxes": True} if source == "labelled" else sources)
    )
    mine, theirs = frames(outcome.result), frames(Path(evaluated.folder) / "predictions.parquet")
    assert len(mine) == len(theirs) == 5
    assert sum(len(frame.instances) for frame in mine) > 0
    for one, other in zip(mine, theirs, strict=True):
        for name in ("keypoints", "keypoint_scores", "scores", "boxes", "identity", "track"):
            np.testing.assert_array_equal(getattr(one.instances, name), getattr(other.instances, name), name)
    beside = set(evaluated.besides)
    assert beside == ({"labelled_boxes"} if source in ("detector", "boxes") else set())


def frames(path: Path) -> list[Frame]:
    return list(ParquetPredictions(path))


def test_a_detector_is_measured_by_the_boxes_that_prediction_uses(
    dataset: LabelledDataset, make: Callable[[str], Run], tmp_path: Path
) -> None:
    detector = make_detector(dataset, tmp_path / "detector")
    result = pose_core.evaluate(detector, device="cpu", split="all")
    estimator = pose_core.load(make("top_down").path, "cpu", detector=detector)
    labelled = [image.image.path for image in dataset.images if len(image.instances)]
    found = [frame for path in labelled for frame in estimator.predict([read_image_file(path)])]
    assert result.boxes == sum(len(frame.instances) for frame in found)
    # Never more than there are individuals, although the detector finds boxes everywhere.
    assert result.boxes == 3 * len(labelled)
    with pytest.raises(ConfigError, match="holds a detector, for which detector mean nothing"):
        pose_core.evaluate(detector, device="cpu", detector=detector)


def test_a_run_without_its_source_says_what_there_is(
    make: Callable[[str], Run], dataset: LabelledDataset
) -> None:
    crops, refines, frames = make("top_down"), make("conditional_top_down"), make("bottom_up")
    with pytest.raises(
        ConfigError, match=r"needs boxes, and nothing supplies them: add boxes=FILE or detector=RUN$"
    ):
        pose_core.load(crops.path, "cpu")
    with pytest.raises(
        ConfigError, match=r"needs poses, and nothing supplies them: add conditions=RUN\|FILE"
    ):
        pose_core.load(refines.path, "cpu")
    with pytest.raises(ConfigError, match="needs poses"):
        evaluate_poses(refines, device="cpu")
    with pytest.raises(ConfigError, match="boxes and detector: each of them answers the need of boxes"):
        pose_core.load(crops.path, "cpu", boxes="x.csv", detector=frames.path)
    with pytest.raises(ConfigError, match=r"^conditions: .* needs no poses; leave it out"):
        pose_core.load(frames.path, "cpu", conditions=frames.path)
    with pytest.raises(ConfigError, match=r"^detector=.*: is not a detector, which is needed here"):
        pose_core.load(crops.path, "cpu", detector=frames.path)
    with pytest.raises(ConfigError, match=r"^boxes=.*: is a folder; name a file"):
        pose_core.load(crops.path, "cpu", boxes=frames.path)
    with pytest.raises(
        ConfigError, match=r"^labelled_boxes: takes labels, and only images that are evaluated have"
    ):
        pose_core.load(crops.path, "cpu", labelled_boxes=True)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError,
        match="detektor: is no source of what stages need; there are boxes, centroid, conditions, d",
    ):
        pose_core.load(crops.path, "cpu", detektor="x")
    with pytest.raises(ConfigError, match=r"^conditions=.*: .* needs conditions of another model"):
        pose_core.load(refines.path, "cpu", conditions=refines.path)


@pytest.mark.long
@pytest.mark.parametrize(
    "lines",
    [
        "import pose_core; f = pose_core.evaluate; from pose_core.evaluation.metrics import measure",
        "from pose_core.evaluation.metrics import measure; import pose_core; f = pose_core.evaluate",
        "import pose_core.evaluation.run, pose_core; f = pose_core.evaluate",
    ],
)
def test_evaluate_is_a_function_in_whatever_order_things_are_imported(lines: str) -> None:
    program = f"{lines}; print(f.__module__, f is pose_core.evaluate)"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["pose_core.evaluation.run", "True"]


def test_a_spec_of_a_run_has_the_stages_of_its_method(make: Callable[[str], Run]) -> None:
    spec = make("conditional_top_down").spec
    assert list(spec.inference.stages) == ["refine"]
    content = spec.model_dump(mode="json")
    content["inference"]["stages"] = {"refine": {"search_every": 3}}
    changed: Any = RunSpec.model_validate(content).inference.stages["refine"]
    assert (changed.type, changed.search_every, changed.duplicate) == ("buctd/refine", 3, 0.7)
