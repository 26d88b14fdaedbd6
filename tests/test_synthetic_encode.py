"""Frames written as a video come back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_core.pipeline.video import VideoSource
from pose_core.synthetic.encode import write_video
from pose_core.synthetic.scenes import Scene, SceneSpec


def test_frames_come_back_nearly_unchanged(tmp_path: Path) -> None:
    scene = Scene(SceneSpec(frames=12, size=(96, 128), length=40))
    frames = [f.image for f in scene]
    assert write_video(tmp_path / "v.mp4", frames, fps=25) == 12
    source = VideoSource(tmp_path / "v.mp4")
    assert (source.info.frames, source.info.width, source.info.height, source.info.fps) == (12, 128, 96, 25)
    for item, frame in zip(source.read(), frames, strict=True):
        assert item.load is not None
        difference = item.load().astype(float) - frame
        assert np.abs(difference.mean()) < 2
        assert np.sqrt((difference**2).mean()) < 8


def test_frames_that_make_no_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "v.mp4", [])
    with pytest.raises(ValueError, match="even sides, not 33 x 32"):
        write_video(tmp_path / "v.mp4", [np.zeros((32, 33, 3), np.uint8)])
    with pytest.raises(ValueError, match="frame 1 has 32 x 64 pixels, not 32 x 32"):
        write_video(tmp_path / "v.mp4", [np.zeros((32, 32, 3), np.uint8), np.zeros((64, 32, 3), np.uint8)])
