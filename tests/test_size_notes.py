"""Frames of another size than those of the training are said, not changed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_run import make_run

import pose_core
from pose_core.reporting import Reporter
from pose_core.runs.size_notes import describe_other_size


class Notes(Reporter):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(
    ("size", "recorded", "said"),
    [
        ((640, 480), [[640, 480]], False),
        ((640, 470), [[640, 480]], False),
        ((1280, 960), [[640, 480]], True),
        ((1280, 960), [[640, 480], [1280, 960]], False),
        ((0, 0), [[640, 480]], False),
        ((1280, 960), [], False),
        ((1280, 960), None, False),
        ((1280, 960), [["a", 3], 7, [1]], False),
    ],
)
def test_what_is_said(size: tuple[int, int], recorded: object, said: bool) -> None:
    line = describe_other_size(*size, recorded)
    assert (line is not None) == said
    if line is not None:
        assert "1280 x 960 pixels, and the model was trained on images of 640 x 480" in line


def test_a_prediction_says_it_once_a_source_and_of_the_region_that_is_looked_at(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps({**provenance, "image_sizes": [[64, 64]]}))
    (tmp_path / "large").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "large" / f"{number}.png"), np.zeros((128, 192, 3), np.uint8))
    for region, count in ((None, 1), ((0, 0, 64, 64), 0)):
        notes = Notes()
        pose_core.predict(
            run, tmp_path / "large", tmp_path / f"out{count}", device="cpu", region=region, reporter=notes
        )
        assert sum("was trained on images of 64 x 64" in line for line in notes.lines) == count


def test_a_training_keeps_the_sizes_of_its_images(blob_project: Path, tmp_path: Path) -> None:
    run = pose_core.train(
        blob_project, "unet", out=tmp_path / "run", epochs=1, settings={"model.backbone.filters": 4}
    )
    assert run.provenance["image_sizes"] == [[64, 64]]
