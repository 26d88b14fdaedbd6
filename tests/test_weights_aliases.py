"""DeepLabCut's conversion tables on their way to the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, DataError
from pose_core.model.aliases import match_keypoints, merge_aliases
from pose_core.structures import LabelledDataset, Skeleton


def read(folder: Path, tables: Any) -> LabelledDataset:
    """A DeepLabCut project with the body parts snout, lear and tailbase."""
    labels = folder / "labeled-data" / "mouse"
    labels.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "Task": "mouse",
        "scorer": "Ada",
        "date": "Jan7",
        "bodyparts": ["snout", "lear", "tailbase"],
        "SuperAnimalConversionTables": tables,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    cv2.imwrite(str(labels / "img0.png"), np.zeros((20, 30, 3), np.uint8))
    header = [
        ["scorer", "", "", *["Ada"] * 6],
        ["bodyparts", "", "", *[name for name in config["bodyparts"] for _ in "xy"]],
        ["coords", "", "", *["x", "y"] * 3],
    ]
    row = ["labeled-data", "mouse", "img0.png", *map(str, range(1, 7))]
    (labels / "CollectedData_Ada.csv").write_text("\n".join(",".join(line) for line in [*header, row]) + "\n")
    return read_project(folder / "config.yaml")


def test_conversion_tables_become_aliases(tmp_path: Path) -> None:
    dataset = read(
        tmp_path,
        {
            "superanimal_topviewmouse": {"snout": "nose", "tailbase": "tail_base", "lear": "left_ear"},
            "superanimal_quadruped": {
                "snout": "nose",
                "tailbase": "tail_root",
                "lear": None,
                "paw": "front_paw",
            },
        },
    )
    assert json.loads(dataset.metadata["aliases"]) == {
        "snout": ["nose"],
        "tailbase": ["tail_base", "tail_root"],
        "lear": ["left_ear"],
    }
    assert any("names body parts that the project lacks: paw" in note for note in dataset.notes)
    quadruped = Skeleton(("nose", "tail_root", "throat"))
    aliases = merge_aliases(dataset.metadata, {}, dataset.skeleton, quadruped)
    found = match_keypoints(dataset.skeleton.keypoints, quadruped.keypoints, aliases, "them")
    assert [s.line(n) for n, s in found.items()] == [
        "snout <- nose (alias)",
        "lear: new",
        "tailbase <- tail_root (alias)",
    ]
    mine = merge_aliases(dataset.metadata, {"tailbase": "Throat"}, dataset.skeleton, quadruped)
    assert match_keypoints(("tailbase",), quadruped.keypoints, mine, "them")["tailbase"].keypoint == "throat"


@pytest.mark.parametrize("tables", [None, {}, "", {"superanimal_bird": None}])
def test_no_table_is_nothing_said(tmp_path: Path, tables: Any) -> None:
    assert "aliases" not in read(tmp_path, tables).metadata


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (["snout"], "must hold a table for each pretrained model"),
        ({"superanimal_bird": ["snout"]}, r"superanimal_bird must hold 'own body part: theirs'"),
        ({"superanimal_bird": {"snout": ["beak"]}}, r"superanimal_bird\.snout must be a body part"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, tables: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, tables)


def test_aliases_that_nobody_knows_are_refused() -> None:
    own, source = Skeleton(("snout",), unique_keypoints=("lamp",)), Skeleton(("nose",))
    with pytest.raises(ConfigError, match=r"the project has no keypoint 'beak'; it has lamp, snout"):
        merge_aliases({}, {"beak": "nose"}, own, source)
    with pytest.raises(
        ConfigError, match=r"train\.aliases\.snout: the weights have no keypoint 'noze'; they have nose"
    ):
        merge_aliases({}, {"snout": "noze"}, own, source)
    with pytest.raises(ConfigError, match=r"metadata\.aliases: must be a JSON object of lists"):
        merge_aliases({"aliases": "[1]"}, {}, own, source)
