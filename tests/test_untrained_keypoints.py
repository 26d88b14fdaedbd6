"""A keypoint that no training image has is said, and predicted nowhere."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core.data.untrained import find_untrained
from pose_core.errors import ConfigError
from pose_core.interfaces import Predictions
from pose_core.model.build import build_model
from pose_core.runs.run_folder import Run
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton
from pose_core.training.prepare import prepare


def project(folder: Path, rows: list[str], keypoints: str = "[nose, tail, tip]", more: str = "") -> Path:
    """Twelve images of a square whose nose and tail are labelled; ``rows`` are added to the labels."""
    (folder / "images").mkdir(parents=True)
    lines = ["image,individual,keypoint,x,y"]
    for n in range(12):
        picture = np.full((64, 96, 3), 60, np.uint8)
        picture[24:37, 10 + 4 * n : 23 + 4 * n] = 230
        cv2.imwrite(str(folder / "images" / f"{n}.png"), picture)
        lines += [f"images/{n}.png,animal,{k},{x + 4 * n},30" for k, x in (("nose", 10), ("tail", 22))]
    (folder / "labels.csv").write_text("\n".join([*lines, *rows]) + "\n")
    (folder / "project.yaml").write_text(f"keypoints: {keypoints}\n{more}")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on labels without ``tip``."""
    folder = tmp_path_factory.mktemp("grown")
    source = project(folder / "project", [])
    return pose_core.train(source, "unet", out=folder / "run", epochs=2, device="cpu")


@pytest.mark.parametrize(
    ("rows", "more", "expected"),
    [
        ([], "", ("tip",)),
        (["images/0.png,animal,tip,16,30"], "", ()),
        ([], "unique_keypoints: [corner, lamp]\n", ("tip", "corner", "lamp")),
        (["images/3.png,,lamp,2,2"], "unique_keypoints: [corner, lamp]\n", ("tip", "corner")),
    ],
)
def test_what_no_image_has_is_said_and_recorded(
    tmp_path: Path, rows: list[str], more: str, expected: tuple[str, ...]
) -> None:
    split = tmp_path / "split.yaml"
    images = [f"images/{n}.png" for n in range(12)]
    split.write_text(yaml.safe_dump({"train": images[:9], "validation": images[9:], "test": []}))
    source = project(tmp_path / "p", rows, more=more)
    prepared = prepare(source, "unet", assignments=[f"data.split.file={split}"])
    assert prepared.spec.untrained_keypoints == expected
    said = [note for note in prepared.notes if "never predicted" in note]
    assert len(said) == bool(expected)
    assert all(name in note for name in expected for note in said)


def test_labels_of_the_other_images_do_not_count(tmp_path: Path) -> None:
    split = tmp_path / "split.yaml"
    images = [f"images/{n}.png" for n in range(12)]
    split.write_text(yaml.safe_dump({"train": images[:6], "validation": images[6:9], "test": images[9:]}))
    source = project(tmp_path / "p", [f"images/{n}.png,animal,tip,16,30" for n in range(6, 12)])
    prepared = prepare(source, "unet", assignments=[f"data.split.file={split}"])
    assert prepared.spec.untrained_keypoints == ("tip",)


def test_no_output_has_a_position_of_it(run: Run, tmp_path: Path) -> None:
    assert run.spec.untrained_keypoints == ("tip",)
    images = Path(run.spec.data.source) / "images"
    for name in ("parquet", "dlc-csv", "dlc-h5", "coco"):
        pose_core.predict(run.path, images, out=tmp_path / name, format=name, device="cpu")
    (table,) = tmp_path.glob("dlc-csv/*.csv")
    with table.open() as stream:
        rows = list(csv.reader(stream))
    at = [i for i, name in enumerate(rows[1]) if name == "tip"]
    assert len(at) == 3
    assert {(row[at[0]], row[at[1]], float(row[at[2]] or 0)) for row in rows[3:]} == {("", "", 0.0)}
    (h5,) = tmp_path.glob("dlc-h5/*.h5")
    frame = pd.read_hdf(h5)
    assert frame.xs("tip", axis=1, level="bodyparts").xs("x", axis=1, level="coords").isna().all(axis=None)
    assert frame.xs("nose", axis=1, level="bodyparts").notna().any(axis=None)
    (results,) = tmp_path.glob("coco/*.json")
    found = json.loads(results.read_text())
    assert found
    assert {tuple(result["keypoints"][6:]) for result in found} == {(0, 0, 0)}
    (parquet,) = tmp_path.glob("parquet/*.parquet")
    columns = pd.read_parquet(parquet)
    assert columns["tip.x"].isna().all() if "tip.x" in columns else "tip" in str(columns.columns)


def test_estimators_and_evaluation_do_without_it(run: Run) -> None:
    image = cv2.imread(str(Path(run.spec.data.source) / "images" / "3.png"))
    (frame,) = pose_core.load(run.path, device="cpu").predict([image])
    assert np.isnan(frame.instances.keypoints[:, 2]).all()
    assert (frame.instances.keypoint_scores[:, 2] == 0).all()
    assert np.isfinite(frame.instances.keypoints[:, :2]).any()
    result = pose_core.evaluate(run.path, device="cpu")
    assert any("never predicted" in note and "tip" in note for note in result.notes)


def test_the_list_of_another_training_is_not_taken_over(run: Run, tmp_path: Path) -> None:
    source = project(tmp_path / "p", [f"images/{n}.png,animal,tip,16,30" for n in range(12)])
    prepared = prepare(source, config=run.path / "config.yaml")
    assert prepared.spec.untrained_keypoints == ()
    assert any("untrained_keypoints" in note for note in prepared.notes)


def test_a_user_may_leave_keypoints_out(tmp_path: Path) -> None:
    source = project(tmp_path / "p", [])
    prepared = prepare(source, "unet", assignments=["untrained_keypoints=[nose]"])
    assert set(prepared.spec.untrained_keypoints) == {"nose", "tip"}
    with pytest.raises(ConfigError, match="no keypoint is called ear"):
        prepare(source, "unet", assignments=["untrained_keypoints=[ear]"])
    model = build_model(prepared.spec).eval()
    found = model.predict(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    assert torch.isnan(found.keypoints[..., 0]).all(dim=(0, 1)).tolist() == [True, False, True]


@given(data=st.data(), keypoints=st.integers(1, 5), unique=st.integers(0, 3), animals=st.integers(0, 3))
def test_masking_changes_nothing_else(data: st.DataObject, keypoints: int, unique: int, animals: int) -> None:
    """Missing is NaN with score 0, everything else stays, and scores keep their proportion."""
    lost = data.draw(st.sets(st.integers(0, keypoints - 1)))
    lost_unique = data.draw(st.sets(st.integers(0, unique - 1))) if unique else set()
    torch.manual_seed(data.draw(st.integers(0, 99)))
    skeleton = Skeleton(
        tuple(f"k{i}" for i in range(keypoints)), unique_keypoints=tuple(f"u{i}" for i in range(unique))
    )
    empty = Predictions.none(2, skeleton)
    points = torch.rand(2, animals, keypoints, 2)
    whole = replace(
        empty.with_animals(points, torch.rand(2, animals, keypoints).clamp(min=0.01)),
        unique_keypoints=torch.rand(2, unique, 2),
        unique_scores=torch.rand(2, unique),
    )
    masked = whole.without(sorted(lost), sorted(lost_unique))
    kept = [i for i in range(keypoints) if i not in lost]
    torch.testing.assert_close(masked.keypoints[:, :, kept], whole.keypoints[:, :, kept])
    torch.testing.assert_close(masked.keypoint_scores[:, :, kept], whole.keypoint_scores[:, :, kept])
    assert torch.isnan(masked.keypoints[:, :, sorted(lost)]).all()
    assert (masked.keypoint_scores[:, :, sorted(lost)] == 0).all()
    assert torch.isnan(masked.unique_keypoints[:, sorted(lost_unique)]).all()
    # The score of these animals is the mean of their keypoints' scores, before and after.
    expected = masked.keypoint_scores.sum(-1) / max(len(kept), 1)
    torch.testing.assert_close(masked.scores, expected, atol=1e-5, rtol=1e-4)


def test_unlabelled_is_found_by_image(tmp_path: Path) -> None:
    nan = np.nan
    skeleton = Skeleton(("a", "b"), unique_keypoints=("c",))
    images = tuple(
        LabelledImage.create(
            ImageFile(tmp_path / str(i)),
            str(i),
            9,
            9,
            Instances.from_keypoints([points]),
            unique_keypoints=[u],
        )
        for i, (points, u) in enumerate(
            [
                ([[1, 1], [nan, nan]], [nan, nan]),
                ([[nan, nan], [2, 2]], [nan, nan]),
                ([[1, 1], [2, 2]], [3, 3]),
            ]
        )
    )
    dataset = LabelledDataset(skeleton, images, tmp_path, "p")
    assert find_untrained(dataset, [0]) == ("b", "c")
    assert find_untrained(dataset, [0, 1]) == ("c",)
    assert find_untrained(dataset, [2]) == ()
