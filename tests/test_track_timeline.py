"""Who was where when: pose track --truth draws it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec
from pose_core.tracking.timeline import Timeline


def test_spans_say_under_which_track_an_animal_was_found() -> None:
    timeline = Timeline()
    near, both = np.eye(2), np.arange(2)
    timeline.add(0, both, both + 5, near)
    timeline.add(1, both, both + 5, near)
    # The two exchange their tracks, then one is not found, and then it is not there.
    timeline.add(2, both, both + 5, near[::-1])
    timeline.add(3, both, both[:1] + 5, np.array([[0.9], [0.4]]))
    timeline.add(4, both[:1], both[:1] + 5, np.array([[0.9]]))
    timeline.add(6, both, both + 5, near)
    assert timeline.list_spans() == {
        0: [(0, 1, 5), (2, 2, 6), (3, 6, 5)],
        1: [(0, 1, 6), (2, 2, 5), (3, 3, -1), (6, 6, 6)],
    }


def test_a_frame_without_animals_or_tracks_is_no_error(tmp_path: Path) -> None:
    timeline, nobody = Timeline(), np.zeros(0, np.int64)
    timeline.draw(tmp_path / "nothing.png")
    timeline.add(0, nobody, nobody, np.zeros((0, 0)))
    timeline.add(1, np.arange(2), nobody, np.zeros((2, 0)))
    assert timeline.list_spans() == {0: [(1, 1, -1)], 1: [(1, 1, -1)]}
    timeline.draw(tmp_path / "lost.png")
    assert Image.open(tmp_path / "lost.png").size[0] > 500


def test_truth_draws_a_timeline_beside_the_result(pose: Any, tmp_path: Path) -> None:
    crowd = Crowd(CrowdSpec(frames=40, animals=3))
    header = PredictionsHeader(CROWD_SKELETON, "clip.mp4", 40, 800, 800, 30.0, "model", "run")
    make_writer("parquet").write(tmp_path / "clip.parquet", header, crowd.found())
    make_writer("parquet").write(tmp_path / "truth.parquet", header, crowd.truth())
    options = ("track", "clip.parquet", "--animals", "3", "--truth", "truth.parquet", "--out", "out")
    (made,) = json.loads(pose(*options, "--json").stdout)
    assert made["timeline"] == "out/clip.timeline.png"
    image = np.asarray(Image.open(tmp_path / "out/clip.timeline.png").convert("RGB"))
    # The colours of the first tracks, each over much of a row.
    for colour in ((230, 159, 0), (86, 180, 233), (0, 158, 115)):
        assert (image == colour).all(axis=-1).sum() > 1000
    (tmp_path / "out/clip.parquet").unlink()
    assert "clip.timeline.png: exists; add --overwrite" in pose(*options).stderr
