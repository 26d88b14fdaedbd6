"""What is spoilt: small, whole projects and runs, made once a session."""

from __future__ import annotations

import csv
import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from deeplabcut_models import Model, description, detector_description, detector_network, save_detector

from pose_core.formats.project_writing import Example, write_project
from pose_core.structures import Instances, Skeleton
from pose_core.synthetic.videos import write_numbered_video

from .oracle import pose
from .run_files import LAST

WIDTH, HEIGHT, IMAGES = 64, 48, 6


@dataclass(frozen=True)
class Material:
    """Folders that are never written to.

    Attributes:
        own, own_multi: projects in the core's own format.
        dlc, dlc_multi: DeepLabCut projects, labels as CSV and as HDF5 of both layouts.
        coco: ``labels.json`` and its images.
        run: a run that was trained on ``own``, evaluated, with a checkpoint.
        crops: a run of a top-down model without a detector.
        predictions: of that run, as Parquet, DeepLabCut's CSV and HDF5, COCO; ``video.mp4`` beside them.
    """

    own: Path
    own_multi: Path
    dlc: Path
    dlc_multi: Path
    coco: Path
    run: Path
    crops: Path
    predictions: Path


@dataclass(frozen=True)
class Stages:
    """Runs with a run inside, never written to.

    Attributes:
        material: the others.
        detected: of a top-down model; its detector is in ``detector/``.
        refined: of a conditional model; what finds the rough poses is in ``conditions/``.
    """

    material: Material
    detected: Path
    refined: Path


@dataclass(frozen=True)
class Models:
    """Models of DeepLabCut, never written to.

    Attributes:
        material: the projects.
        root: holds the train folders, ``whole`` and ``hollow`` (hardly any weights) of each kind.
    """

    material: Material
    root: Path

    KINDS = ("single", "unique", "crops", "detected")
    """One animal; with unique body parts; top-down; top-down with the snapshot of a detector."""


def copy(source: Path, to: Path) -> Path:
    """A folder of links to the same files, which must be replaced, not written to."""
    shutil.copytree(source, to, copy_function=_link)
    return to


def _link(source: str, to: str) -> None:
    Path(to).hardlink_to(source)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """See the class."""
    root = tmp_path_factory.mktemp("material")
    made = Material(
        *(
            root / name
            for name in ("own", "own_multi", "dlc", "dlc_multi", "coco", "run", "crops", "predictions")
        )
    )
    single = Skeleton(
        ("nose", "left_ear", "right_ear"),
        edges=(("nose", "left_ear"),),
        symmetry=(("left_ear", "right_ear"),),
    )
    _own(made.own, single)
    several = Skeleton(
        ("nose", "tail"),
        edges=(("nose", "tail"),),
        individuals=("mickey", "minnie"),
        identified=True,
        unique_keypoints=("corner",),
    )
    _own(made.own_multi, several)
    _deeplabcut(made.dlc, None)
    _deeplabcut(made.dlc_multi, ["mickey", "minnie"])
    _coco(made.coco)
    tiny = ("model.backbone.filters=4", "model.backbone.max_stride=8", "model.backbone.output_stride=4")
    settings = [part for setting in (*tiny, "train.batch_size=4") for part in ("--set", setting)]
    _done(
        [
            "train",
            made.own,
            "--model",
            "unet",
            "--out",
            made.run,
            "--epochs",
            "1",
            "--device",
            "cpu",
            *settings,
        ],
        root,
    )
    small = [*settings, "--set", "model.preprocess.size=[32,32]"]
    _done(
        [
            "train",
            made.own,
            "--model",
            "top_down_unet",
            "--out",
            made.crops,
            "--epochs",
            "1",
            "--device",
            "cpu",
            *small,
        ],
        root,
    )
    _done(["evaluate", made.run, "--device", "cpu"], root)
    made.predictions.mkdir()
    write_numbered_video(made.predictions / "video.mp4", 12)
    for format in ("parquet", "dlc-csv", "dlc-h5", "coco"):
        _done(
            [
                "predict",
                made.run,
                made.predictions / "video.mp4",
                "--out",
                made.predictions,
                "--format",
                format,
            ],
            root,
        )
    return made


@pytest.fixture(scope="session")
def stages(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """See the class."""
    root = tmp_path_factory.mktemp("stages")
    made = Stages(material, root / "detected", root / "refined")
    common = ("train.batch_size=4", "model.preprocess.size=[32,32]")
    detector = ("size=[64,64]", "pretrained=false")
    top_down = (
        *("model.backbone.filters=4", "model.backbone.max_stride=8", "model.backbone.output_stride=4"),
        *(f"stages.detector.network.{setting}" for setting in detector),
        "stages.detector.train.batch_size=4",
    )
    conditional = ("model.backbone.backbone.filters=4", "model.backbone.backbone.max_stride=8")
    for model, out, given, settings in (
        ("top_down_unet", made.detected, ["--detector", "ssdlite"], top_down),
        ("ctd_prenet_unet", made.refined, ["--conditions", material.run], conditional),
    ):
        command = [
            "train",
            material.own,
            "--model",
            model,
            "--out",
            out,
            *given,
            "--epochs",
            "1",
            "--device",
            "cpu",
        ]
        _done([*command, *(part for setting in (*common, *settings) for part in ("--set", setting))], root)
    return made


@pytest.fixture(scope="session")
def models(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """See the class."""
    made = Models(material, tmp_path_factory.mktemp("models"))
    network = detector_network()
    for kind in made.KINDS:
        for hollow in (False, True):
            content = description(top_down=kind in ("crops", "detected"), unique=2 if kind == "unique" else 0)
            if kind == "detected":
                content["detector"] = detector_description()
            model = Model(made.root / ("hollow" if hollow else "whole") / kind, content, hollow=hollow)
            if kind == "detected":
                save_detector(model.folder, network)
    return made


def _done(arguments: list[str | Path], folder: Path) -> None:
    ended = pose(arguments, folder)
    assert ended.code == 0, (arguments, ended)


def _picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def _own(folder: Path, skeleton: Skeleton) -> None:
    rng = np.random.default_rng(0)
    shape = (skeleton.num_individuals, skeleton.num_keypoints, 2)
    corners = np.full((len(skeleton.unique_keypoints), 2), 4.0, np.float32)

    def example(number: int) -> Example:
        animals = Instances.from_keypoints(rng.uniform(4, 44, shape), identity=np.arange(shape[0]))
        return Example(f"clip/{number}.png", _picture(number), animals, unique_keypoints=corners)

    write_project(folder, skeleton, map(example, range(IMAGES)), name="mice")


def _deeplabcut(root: Path, individuals: list[str] | None) -> None:
    parts = ["nose", "leftpaw", "rightpaw"]
    config: dict[str, Any] = {
        "Task": "reach",
        "scorer": "Ada",
        "date": "Jan7",
        "multianimalproject": bool(individuals),
    }
    config |= {
        "identity": bool(individuals),
        "project_path": "/gone",
        "video_sets": {"/gone/mouse.mp4": {"crop": "0, 64, 0, 48"}},
    }
    config |= {
        "bodyparts": "MULTI!" if individuals else parts,
        "skeleton": [["nose", "leftpaw"], ["nose", "rightpaw"]],
    }
    if individuals:
        config |= {"multianimalbodyparts": parts, "individuals": individuals, "uniquebodyparts": ["corner"]}
    config |= {"SuperAnimalConversionTables": {"quadruped": {"nose": "nose", "leftpaw": "front_left_paw"}}}
    root.mkdir()
    (root / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    names = [(individual, part) for individual in individuals or [""] for part in parts]
    names += [("single", "corner")] if individuals else []
    columns = [("Ada", *(name if individuals else name[1:]), axis) for name in names for axis in "xy"]
    levels = ["scorer", *(["individuals"] if individuals else []), "bodyparts", "coords"]
    for video, layout in (("mouse", "fixed"), ("rat", "table"), ("vole", "")):
        folder = root / "labeled-data" / video
        folder.mkdir(parents=True)
        images = [f"img{i:03d}.png" for i in range(3)]
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / image), _picture(number))
        values = np.random.default_rng(1).uniform(1, 46, (3, len(columns))).round(3)
        values[0, :2] = np.nan
        index: Any = pd.MultiIndex.from_tuples([("labeled-data", video, image) for image in images])
        if layout == "table":
            index = ["/".join(row) for row in index]
        frame = pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(columns, names=levels), index=index)
        frame.to_csv(folder / "CollectedData_Ada.csv")
        if layout:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame.to_hdf(folder / "CollectedData_Ada.h5", key="df_with_missing", mode="w", format=layout)


def _coco(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(2)
    annotations: list[dict[str, Any]] = []
    for image in range(IMAGES):
        cv2.imwrite(str(folder / f"{image}.png"), _picture(image))
        for _ in range(2):
            points = [
                [float(x), float(y), int(v)]
                for (x, y), v in zip(rng.uniform(2, 44, (3, 2)).round(2), (2, 1, 2), strict=True)
            ]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": 1,
                    "keypoints": [v for point in points for v in point],
                    "num_keypoints": 3,
                    "bbox": [2.0, 2.0, 43.0, 43.0],
                    "area": 900.5,
                    "iscrowd": 0,
                    "segmentation": [[2, 2, 44, 2, 44, 44]],
                }
            )  # fmt: skip
    annotations.append(
        {
            "id": 99,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [0] * 9,
            "bbox": [50, 30, 9, 9],
            "iscrowd": 1,
        }
    )
    images = [{"id": i + 1, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in range(IMAGES)]
    category = {
        "id": 1,
        "name": "mouse",
        "keypoints": ["nose", "left_ear", "right_ear"],
        "skeleton": [[1, 2], [1, 3]],
    }
    content = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [category, {"id": 2, "name": "box"}],
    }
    (folder / "labels.json").write_text(json.dumps(content))


class Made:
    """Stands for a run that was not trained."""

    provenance: ClassVar[dict[str, Any]] = {"split": {"test": []}}

    def __init__(self, prepared: Any, out: Path, **_: Any) -> None:
        self.spec, self.path = prepared.spec, out

    def metrics(self) -> dict[str, Any]:
        return {"best": {}}


@pytest.fixture
def only_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings end where the first step would begin: data, split and configuration are decided then."""
    import pose_core.training.train_project

    monkeypatch.setattr(pose_core.training.train_project, "train_run", Made)


@pytest.fixture
def only_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings that begin anew end where the first step would be, nothing is plotted: both take seconds.

    How detectors, rough poses and weights are found and read is looked at all the same; so is a training that
    goes on.
    """
    monkeypatch.setenv("MPLBACKEND", "agg")
    import pose_core.evaluation.output as files
    import pose_core.training.fit as fit
    import pose_core.training.train_run as together
    from pose_core.model.build import build_model
    from pose_core.runs.start import start_from

    def plotted(*_: Any) -> bool:
        return False

    for name in ("plot_predictions", "plot_error_by_keypoint", "plot_error_curve"):
        monkeypatch.setattr(files, name, plotted)
    monkeypatch.setattr(fit, "plot_curves", lambda *_: None)

    train = fit.train_network

    def begun(prepared: Any, out: Path, **options: Any) -> Any:
        if options.get("resume") and os.path.lexists(out / LAST):
            return train(prepared, out, **options)
        start_from(build_model(prepared.spec), prepared.spec.train.weights)
        return Made(prepared, out)

    monkeypatch.setattr(together, "train_network", begun)


def rows_of(data: bytes) -> list[list[str]]:
    """The cells of a CSV table."""
    return list(csv.reader(data.decode().splitlines()))


Say = Callable[[str], None]
