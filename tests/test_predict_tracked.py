"""pose predict --tracker: the ids of pose track, while nothing that was predicted is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import open_predictions
from pose_core.prediction.journal import Journal

FRAMES = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = {"method": "top_down", "preprocess": {"size": [32, 32], "scale": 1.0, "min_box": 16.0}}
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", model=model)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video, and boxes of two animals that pass each other, in changing order."""
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "bgr0"
        for _ in range(FRAMES):
            image = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 128, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(image.reformat(format="bgr0")))
        container.mux(stream.encode())
    lines = ["frame,x1,y1,x2,y2,score"]
    for t in range(FRAMES):
        # Animals come by their scores: in each frame the other way round.
        one, other = (0.9, 0.8) if t % 2 == 0 else (0.8, 0.9)
        lines += [f"{t},{5 * t},2,{5 * t + 24},26,{one}", f"{t},{90 - 5 * t},36,{114 - 5 * t},60,{other}"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "clip.mkv"


def tracks(path: Path) -> list[list[int]]:
    return [frame.instances.track.tolist() for frame in open_predictions(path)]


def test_the_ids_are_those_of_pose_track(pose: Any, run: Path, clip: Path) -> None:
    options = (str(run), clip.name, "--boxes", "boxes.csv", "--max-animals", "2", "--device", "cpu")
    done = pose("predict", *options, "--tracker", "boxes", "--animals", "2", "--out", "at_once")
    assert done.returncode == 0, done.stderr
    pose("predict", *options, "--out", "plain")
    pose("track", "plain/clip.parquet", "--tracker", "boxes", "--animals", "2", "--out", "later")
    assert tracks(clip.parent / "plain/clip.parquet") == [[-1, -1]] * FRAMES
    found = tracks(clip.parent / "at_once/clip.parquet")
    doubts = [(clip.parent / folder / "clip.doubts.csv").read_text() for folder in ("at_once", "later")]
    assert doubts[0] == doubts[1]
    assert "frame,first_frame,last_frame,tracks,kind,need,look" in doubts[0]
    assert "likely" in done.stderr or "to look at" in done.stderr
    assert found == tracks(clip.parent / "later/clip.parquet")
    # The ids are not the order.
    assert found == [[0, 1] if t % 2 == 0 else [1, 0] for t in range(FRAMES)]


@pytest.mark.parametrize("done", [1, 5, 11])
def test_ended_at_any_frame_and_continued_the_ids_are_the_same(
    run: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    def predict(out: str) -> list[list[int]]:
        options: Any = {
            "max_animals": 2,
            "boxes": clip.parent / "boxes.csv",
            "device": "cpu",
            "batch_size": 1,
        }
        pose_core.predict(run, clip, clip.parent / out, tracker="oks", animals=2, **options)
        return tracks(clip.parent / out / "clip.parquet")

    undisturbed = predict("undisturbed")
    append = Journal.append

    def end(journal: Journal, frames: Any, sizes: Any) -> None:
        append(journal, frames, sizes)
        journal.flush()
        if journal.done >= done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", end)
        with pytest.raises(KeyboardInterrupt):
            predict("ended")
    assert not (clip.parent / "ended/clip.parquet").exists()
    assert predict("ended") == undisturbed


def test_another_tracker_is_another_result(run: Path, clip: Path) -> None:
    def predict(**options: Any) -> None:
        pose_core.predict(
            run,
            clip,
            clip.parent / "out",
            max_animals=2,
            boxes=clip.parent / "boxes.csv",
            device="cpu",
            **options,
        )

    predict(tracker="boxes")
    predict(tracker="boxes")
    with pytest.raises(PoseError, match="another tracker"):
        predict(tracker="oks")
    with pytest.raises(ConfigError, match="is for a tracker"):
        predict(animals=2)


def test_what_a_tracker_cannot_use_stays_predicted(pose: Any, run: Path, clip: Path) -> None:
    options = (
        str(run),
        clip.name,
        "--boxes",
        "boxes.csv",
        "--max-animals",
        "2",
        "--device",
        "cpu",
        "--out",
        "out",
    )
    done = pose("predict", *options, "--tracker", "identity")
    assert done.returncode == 2
    assert "needs identities" in done.stderr
    done = pose("predict", *options, "--tracker", "boxes")
    assert f"{FRAMES} frames were done before" in done.stderr
    assert len(tracks(clip.parent / "out/clip.parquet")) == FRAMES
