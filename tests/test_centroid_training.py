"""Centroid models through Python and the command line: by themselves, ahead of crops, of cheap labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import pose_core
from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.io.downloads import get_cache_folder
from pose_core.pipeline.plan import plan_stages
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import Instances, Skeleton
from pose_core.synthetic.projects import Example, write_project
from pose_core.training.prepare import prepare
from pose_core.training.task import TASKS

SKELETON = Skeleton(("a", "b", "c"), individuals=("one", "two"))
SMALL: dict[str, Any] = {
    "model.backbone.filters": 4,
    "model.backbone.max_stride": 8,
    "model.backbone.output_stride": 2,
}
STAGE: dict[str, Any] = {f"stages.centroid.{key}": value for key, value in SMALL.items()}
CROPS: dict[str, Any] = {**SMALL, "model.preprocess.size": [32, 32]}


def draw(points: Any) -> Any:
    image = np.random.default_rng(0).integers(90, 120, (64, 96, 3)).astype(np.uint8)
    for animal in points:
        for part, (x, y) in enumerate(animal):
            cv2.circle(
                image, (round(x), round(y)), 4, [(230, 40, 40), (40, 230, 40), (40, 40, 230)][part], -1
            )
    return image


def poses(number: int) -> Any:
    rng = np.random.default_rng(number)
    centres = [rng.uniform([14, 14], [34, 50]), rng.uniform([62, 14], [82, 50])][: 1 + number % 2]
    return np.array([c + np.array([[-7, 0], [0, 4], [7, 0]]) for c in centres], np.float32)


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One or two animals of three keypoints an image, 16 images of 64 x 96."""
    folder = tmp_path_factory.mktemp("animals") / "project"
    examples = (
        Example(f"{n:02d}.png", draw(poses(n)), Instances.from_keypoints(poses(n))) for n in range(16)
    )
    write_project(folder, SKELETON, examples, name="animals")
    return folder


def train(project: Path, out: Path, model: str = "centroid_unet", epochs: int = 1, **more: Any) -> Any:
    settings = {**(CROPS if "top_down" in model else SMALL), **more.pop("settings", {})}
    return pose_core.train(project, model, out=out, epochs=epochs, device="cpu", settings=settings, **more)


@pytest.fixture(scope="module")
def centroids(animals: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    # Trained so shortly, it finds animals only if it is believed.
    believed = {"model.heads.centroid.predictor.threshold": 0.0}
    run: Run = train(animals, tmp_path_factory.mktemp("centroids") / "run", settings=believed)
    return run


def test_every_backbone_has_a_centroid_model() -> None:
    models = get_catalog().models()
    backbones = {model.backbone for model in models if model.method == "top_down" and model.backbone}
    offered = {model.backbone: model.name for model in models if model.method == "centroid"}
    assert set(offered) == backbones
    assert all(name == f"centroid_{backbone.rpartition('/')[2]}" for backbone, name in offered.items())


def test_a_centroid_model_by_itself_finds_one_point_an_animal(centroids: Run, animals: Path) -> None:
    spec = centroids.spec
    assert spec.model.name == "unet/centroid_unet"
    assert spec.skeleton.keypoints == ("a", "b", "c")
    assert spec.finds == Skeleton(("centre",), individuals=("one", "two"), landmarks=())
    # Its frames are resized so that animals have the usual size, though they have one point each.
    assert spec.model.preprocess.scale == 1.0
    assert spec.untrained_keypoints == ()
    result = pose_core.evaluate(centroids)
    assert [k.name for k in result.keypoints] == ["centre"]
    assert result.counts.keypoints == result.counts.animals > 0
    found = pose_core.load(centroids.path, device="cpu").predict([draw(poses(1))])
    assert found[0].instances.keypoints.shape[1:] == (1, 2)


@pytest.mark.long
def test_predictions_of_a_video_of_centres(centroids: Run, animals: Path, tmp_path: Path, pose: Any) -> None:
    process = pose(
        "predict", centroids.path, animals / "images", "--out", tmp_path / "found", "--device", "cpu"
    )
    assert process.returncode == 0, process.stderr
    (table,) = (tmp_path / "found").glob("*.parquet")
    import pandas as pd

    columns = pd.read_parquet(table).columns
    assert any("centre" in str(column) for column in columns)


@pytest.mark.long
def test_a_centroid_model_learns_where_animals_are(animals: Path, tmp_path: Path) -> None:
    run = train(animals, tmp_path / "run", epochs=150, settings={"train.optimizer.lr": 0.003})
    result = pose_core.evaluate(run, "train")
    assert result.to_json()["mean_error"] < 2.0
    assert result.counts.missed == result.counts.false_positives == 0


@pytest.mark.long
def test_both_networks_train_in_one_command_and_predict(animals: Path, tmp_path: Path, pose: Any) -> None:
    command = ["train", animals, "--model", "top_down_unet", "--centroid", "centroid_unet"]
    for key, value in {**CROPS, **STAGE, "model.preprocess.centre": "keypoints"}.items():
        command += ["--set", f"{key}={value}"]
    process = pose(*command, "--out", tmp_path / "run", "--epochs", "1", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert "note: model.preprocess.extent=auto, since centres have no size" in process.stderr
    assert "decided by the labels: model.preprocess.extent=" in process.stderr
    run = Run.open(tmp_path / "run", RunSpec)
    stage = run.stages["centroid"].of(RunSpec)
    assert stage.spec.model.method == "centroid"
    assert stage.spec.model.preprocess.centre == run.spec.model.preprocess.centre == "keypoints"
    assert stage.spec.model.preprocess.extent is None
    # 7 pixels to either side of the mean, seen from all sides, and room for zoom and shift.
    assert 20 < run.spec.model.preprocess.extent < 30
    evaluated = pose("evaluate", run.path, "--json", "--device", "cpu")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["labelled_boxes"]["counts"]["missed"] == 0
    predicted = pose("predict", run.path, animals / "images", "--out", tmp_path / "found", "--device", "cpu")
    assert predicted.returncode == 0, predicted.stderr
    # By itself the stage is a run like any other.
    assert pose("evaluate", stage.path, "--device", "cpu").returncode == 0


def test_a_trained_centroid_model_is_given(centroids: Run, animals: Path, tmp_path: Path) -> None:
    run = train(
        animals,
        tmp_path / "run",
        "top_down_unet",
        centroid=centroids.path,
        settings={"model.preprocess.extent": 24.0},
    )
    assert run.spec.model.preprocess.extent == 24.0
    assert (run.path / "stages" / "centroid" / "weights.safetensors").is_file()
    alone = train(animals, tmp_path / "alone", "top_down_unet", settings={"model.preprocess.extent": 24.0})
    for folder, sources in ((run.path, {}), (alone.path, {"centroid": centroids.path})):
        estimator = pose_core.load(folder, device="cpu", **sources)
        assert len(estimator.predict([draw(poses(1))])) == 1
    with pytest.raises(ConfigError, match=r"needs boxes, and nothing supplies them: add .*centroid="):
        pose_core.load(alone.path, device="cpu")


@pytest.mark.long
def test_centres_then_poses_then_refined_poses(
    centroids: Run, animals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conditional model takes its initial poses from a top-down run with a centroid model in its folder, as
    from a file of that run's predictions; following them needs nothing else."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    crops = train(
        animals,
        tmp_path / "crops",
        "top_down_unet",
        centroid=centroids.path,
        settings={"model.preprocess.extent": 24.0},
    )
    settings = {
        **{key.replace("backbone", "backbone.backbone"): value for key, value in SMALL.items()},
        "model.preprocess.size": [32, 32],
        "inference.stages.refine.threshold": 0.0,
        "inference.follow_threshold": 0.0,
    }
    run = pose_core.train(
        animals,
        "ctd_prenet_unet",
        out=tmp_path / "run",
        epochs=1,
        device="cpu",
        conditions=crops.path,
        settings=settings,
    )
    held = run.stages["conditions"].of(RunSpec)
    assert held.stages["centroid"].of(RunSpec).spec.model.method == "centroid"
    images = sorted((animals / "images").glob("*.png"))[:4]
    (outcome,) = pose_core.predict(crops.path, images, tmp_path / "poses", device="cpu")
    assert outcome is not None
    pictures = [cv2.imread(str(image))[..., ::-1] for image in images]
    ours, given = (
        pose_core.load(run.path, device="cpu", **sources).predict(pictures)
        for sources in ({}, {"conditions": outcome.result})
    )
    assert sum(len(frame.instances) for frame in ours) > 0
    for one, other in zip(ours, given, strict=True):
        np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=1e-3)
    # A runtime computes all three networks.
    estimator = pose_core.load(run.path, device="cpu", runtime="openvino")
    kept = list((get_cache_folder() / "runtimes").glob("openvino-*/*/network/network.xml"))
    assert len(kept) == 3
    for one, other in zip(ours, estimator.predict(pictures), strict=True):
        np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=0.01)
    followed = pose_core.load(run.path, device="cpu", follow=True)
    tracks = followed.predict([draw(poses(1))])[0].instances.track
    assert sorted(tracks.tolist()) == list(range(len(tracks)))


def test_crops_as_large_as_boxes_need_more_than_centres(
    centroids: Run, animals: Path, tmp_path: Path
) -> None:
    run = train(animals, tmp_path / "run", "top_down_unet")
    with pytest.raises(
        ConfigError, match=r"gives centres, and the crops of .* are as large as boxes; .*extent"
    ):
        pose_core.load(run.path, device="cpu", centroid=centroids.path)
    with pytest.raises(
        ConfigError, match=r"centroid.*gives centres, and the crops of .* are as large as boxes"
    ):
        train(
            animals,
            tmp_path / "other",
            "top_down_unet",
            centroid="centroid_unet",
            settings={"model.preprocess.extent": None},
        )


def test_what_centres_are_no_use_to(centroids: Run, animals: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs no centres; leave it out"):
        train(animals, tmp_path / "run", "unet", centroid="centroid_unet")
    with pytest.raises(ConfigError, match=r"model\.preprocess\.centre: no keypoint is called 'nose'"):
        train(animals, tmp_path / "run", settings={"model.preprocess.centre": "nose"})
    settings = {"model.heads.more": {"type": "heatmap/heatmap", "predictor": {"type": "centroid/centres"}}}
    with pytest.raises(ConfigError, match="centroid/centres: finds one point an animal"):
        train(animals, tmp_path / "run", "unet", settings=settings)


def test_two_sources_of_places_are_one_too_many(centroids: Run, animals: Path, tmp_path: Path) -> None:
    run = train(animals, tmp_path / "run", "top_down_unet", settings={"model.preprocess.extent": 24.0})
    (tmp_path / "boxes.csv").write_text("frame,x1,y1,x2,y2\n0,10,16,10,16\n")
    with pytest.raises(ConfigError, match="each of them answers the need of boxes; give one of them"):
        plan_stages(run, "cpu", {"centroid": centroids.path, "boxes": tmp_path / "boxes.csv"})  # type: ignore[arg-type]
    # A file of points does in the place of a centroid model.
    found = pose_core.load(run.path, device="cpu", boxes=tmp_path / "boxes.csv").predict([draw(poses(1))])
    assert len(found[0].instances) == 1


def test_a_point_an_animal_is_label_enough(animals: Path, tmp_path: Path) -> None:
    skeleton = Skeleton(("middle",), individuals=("one", "two"))
    examples = (
        Example(f"{n}.png", draw(poses(n)), Instances.from_keypoints(poses(n)[:, 1:2])) for n in range(6)
    )
    write_project(tmp_path / "points", skeleton, examples, name="points")
    run = train(tmp_path / "points", tmp_path / "run")
    assert run.spec.finds.keypoints == ("centre",)
    # A model of another project's keypoints serves, as a centre has no name there.
    crops = train(animals, tmp_path / "crops", "top_down_unet", centroid=run.path)
    assert len(pose_core.load(crops.path, device="cpu").predict([draw(poses(1))])) == 1


def test_boxes_are_label_enough(tmp_path: Path) -> None:
    images, annotations = [], []
    for n in range(6):
        cv2.imwrite(str(tmp_path / f"{n}.png"), draw(poses(n)))
        images.append({"id": n, "file_name": f"{n}.png", "width": 96, "height": 64})
        for low, high in ((p.min(axis=0) - 4, p.max(axis=0) + 4) for p in poses(n)):
            box = [float(v) for v in (*(low + 0.5), *(high - low))]
            annotations.append({"id": len(annotations), "image_id": n, "category_id": 1, "bbox": box})
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mouse"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(labels))
    run = train(tmp_path / "boxes.json", tmp_path / "run")
    result = pose_core.evaluate(run)
    assert result.counts.keypoints == result.counts.animals > 0
    with pytest.raises(pose_core.PoseError, match="no image has a labelled keypoint"):
        train(tmp_path / "boxes.json", tmp_path / "poses", "unet")


def test_a_detector_learns_the_centres_that_crops_are_cut_around(animals: Path) -> None:
    prepared = prepare(
        animals,
        "top_down_unet",
        networks={"detector": "ssdlite"},
        assignments=[
            "model.preprocess.size=[32,32]",
            "model.preprocess.extent=auto",
            "model.preprocess.centre=b",
            "stages.detector.network.size=[64,96]",
        ],
    )
    stage = prepared.stages()["detector"]
    assert isinstance(stage.spec, DetectorRunSpec)
    assert stage.spec.centre == "b"
    samples = TASKS["boxes"](stage).samples(stage.split.train, False)
    for number, row in enumerate(stage.split.train):
        boxes = samples[number].labels.boxes
        wanted = stage.dataset.images[row].instances.keypoints[:, 1]
        np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, wanted, atol=1e-3)
    # Crops of training show the same point in their middle.
    crops = TASKS["poses"](prepared).samples(prepared.split.train, False)
    np.testing.assert_allclose(crops[0].labels.keypoints[0, 1], [15.5, 15.5], atol=1e-3)


def test_what_a_trained_network_finds_may_not_be_what_crops_are_cut_around(
    centroids: Run, animals: Path
) -> None:
    def notes(centre: str) -> list[str]:
        settings = ["model.preprocess.size=[32,32]", f"model.preprocess.centre={centre}"]
        networks = {"centroid": str(centroids.path)}
        prepared = prepare(animals, "top_down_unet", networks=networks, assignments=settings)
        return [note for note in prepared.notes if "learned the centre" in note]

    assert notes("box") == []
    (note,) = notes("a")
    assert "learned the centre box, and crops are cut around the centre a in training" in note
