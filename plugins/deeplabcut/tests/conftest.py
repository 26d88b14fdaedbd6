"""Small DeepLabCut projects, written by pandas as DeepLabCut writes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from pose_deeplabcut.config import ProjectReaderConfig
from pose_deeplabcut.project import ProjectReader

from pose_core.structures import LabelledDataset

REPOSITORY = Path(__file__).parents[3]
WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="session")
def openfield_project() -> Path:
    """The real project, where it lies beside the checkout; read-only."""
    project = REPOSITORY.parent / "shared" / "data" / "openfield"
    if not project.is_dir():
        pytest.skip("the openfield project is not beside this checkout (shared/data/openfield)")
    return project


@dataclass
class Project:
    """A DeepLabCut project in a temporary folder, to be spoilt by tests."""

    root: Path
    config: dict[str, Any]

    @property
    def config_file(self) -> Path:
        return self.root / "config.yaml"

    def folder(self, video: str = "mouse") -> Path:
        return self.root / "labeled-data" / video

    def labels(self, extension: str, video: str = "mouse", scorer: str | None = None) -> Path:
        return self.folder(video) / f"CollectedData_{scorer or self.config['scorer']}.{extension}"

    def configure(self, **changes: Any) -> None:
        """Change keys of config.yaml."""
        self.config |= changes
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")

    def columns(self) -> pd.MultiIndex:
        scorer = self.config["scorer"]
        if not self.config["multianimalproject"]:
            return pd.MultiIndex.from_product(
                [[scorer], self.config["bodyparts"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
            )
        names = [
            (i, part) for i in self.config["individuals"] for part in self.config["multianimalbodyparts"]
        ]
        names += [("single", part) for part in self.config["uniquebodyparts"]]
        return pd.MultiIndex.from_tuples(
            [(scorer, *name, coord) for name in names for coord in ("x", "y")],
            names=["scorer", "individuals", "bodyparts", "coords"],
        )

    def label(
        self,
        images: int = 4,
        *,
        video: str = "mouse",
        h5: str | None = "fixed",
        csv: bool = True,
        index: str = "tuples",
        key: str = "df_with_missing",
    ) -> pd.DataFrame:
        """Make images and label all keypoints on them.

        Args:
            images: number of them.
            video: folder.
            h5: layout of the HDF5 file; None for no file.
            csv: whether there is a CSV file.
            index: how rows are named: tuples, slashes or backslashes.
            key: of the table in the HDF5 file.
        """
        folder = self.folder(video)
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"img{i:03d}.png" for i in range(images)]
        for name in names:
            cv2.imwrite(str(folder / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        columns = self.columns()
        values = np.random.default_rng(0).uniform(1, HEIGHT - 2, (images, len(columns))).round(3)
        rows: Any = pd.MultiIndex.from_tuples([("labeled-data", video, name) for name in names])
        if index != "tuples":
            rows = [{"slashes": "/", "backslashes": "\\"}[index].join(row) for row in rows]
        frame = pd.DataFrame(values, columns=columns, index=rows)
        self.write(frame, video, h5=h5, csv=csv, key=key)
        return frame

    def write(
        self,
        frame: pd.DataFrame,
        video: str = "mouse",
        *,
        h5: str | None = "fixed",
        csv: bool = True,
        key: str = "df_with_missing",
    ) -> None:
        """Write labels as DeepLabCut does."""
        if h5:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame.to_hdf(self.labels("h5", video), key=key, mode="w", format=h5)
        if csv:
            frame.to_csv(self.labels("csv", video))

    def read(self, path: Path | None = None, **config: Any) -> LabelledDataset:
        return ProjectReader(ProjectReaderConfig(type="deeplabcut/deeplabcut", **config)).read(
            path or self.root
        )

    def edit_csv(self, old: str, new: str, video: str = "mouse") -> None:
        file = self.labels("csv", video)
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def single(tmp_path: Path) -> Project:
    """A single-animal project without labels, its config.yaml as sloppy as real ones."""
    project = Project(tmp_path / "reach", {})
    project.root.mkdir()
    project.configure(
        Task="reach",
        scorer="Ada",
        date="Jan7",
        multianimalproject=None,
        identity=None,
        project_path="C:\\Users\\ada\\old place",
        video_sets={"WILL BE AUTOMATICALLY UPDATED BY DEMO CODE": {"crop": "0, 640, 0, 480"}},
        bodyparts=["nose", "leftpaw", "rightpaw"],
        skeleton=[["nose", "leftpaw"], ["objectA", "nose"]],
    )
    return project


@pytest.fixture
def multi(tmp_path: Path) -> Project:
    """A multi-animal project without labels."""
    project = Project(tmp_path / "pair", {})
    project.root.mkdir()
    project.configure(
        Task="pair",
        scorer="Ada",
        date="Jan7",
        multianimalproject=True,
        identity=True,
        project_path="/gone",
        video_sets={},
        bodyparts="MULTI!",
        multianimalbodyparts=["nose", "ear_L", "ear_R"],
        individuals=["mickey", "minnie"],
        uniquebodyparts=["corner", "lamp"],
        skeleton=[[["nose", "ear_L"]], ["ear_R", "nose"]],
    )
    return project


@pytest.fixture
def points() -> Callable[[LabelledDataset, Sequence[str]], np.ndarray]:
    """All labels of some images, (images, individuals, keypoints, 2), NaN where there is none."""

    def collect(dataset: LabelledDataset, names: Sequence[str]) -> np.ndarray:
        by_name = {image.name: image for image in dataset.images}
        shape = (len(names), dataset.skeleton.num_individuals, dataset.skeleton.num_keypoints, 2)
        found = np.full(shape, np.nan, np.float32)
        for row, name in enumerate(names):
            instances = by_name[name].instances
            found[row, instances.identity] = instances.keypoints
        return found

    return collect
