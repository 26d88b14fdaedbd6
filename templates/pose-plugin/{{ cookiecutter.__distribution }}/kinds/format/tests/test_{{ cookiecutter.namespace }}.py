"""Reader and writer."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader
from pose_core.structures import Frame, Instances, Skeleton

from {{ cookiecutter.__package }}.config import ReaderSettings, WriterSettings
from {{ cookiecutter.__package }}.lines import LABELS, PREDICTIONS
from {{ cookiecutter.__package }}.reader import LinesReader
from {{ cookiecutter.__package }}.writer import LinesWriter

SKELETON = {"keypoints": ["nose", "tail"], "individuals": ["one", "two"]}
IMAGE = {"image": "0.png", "animals": [[[12.5, 30], None], [[1, 2], [3, 4]]]}


def labels(folder: Path, *lines: object) -> Path:
    cv2.imwrite(str(folder / "0.png"), np.zeros((48, 64, 3), np.uint8))
    path = folder / "labels.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_labels_are_read(tmp_path: Path) -> None:
    path = labels(tmp_path, {"format": LABELS, "skeleton": SKELETON}, IMAGE)
    assert LinesReader.accepts(path)
    dataset = LinesReader(ReaderSettings()).read(path)
    (image,) = dataset.images
    assert dataset.skeleton.individuals == ("one", "two")
    assert (image.width, image.height) == (64, 48)
    nan = float("nan")
    np.testing.assert_array_equal(image.instances.keypoints, [[[12.5, 30], [nan, nan]], [[1, 2], [3, 4]]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"image": "1.png"}, r"line 2: image '1.png' is not a file"),
        ({"image": "0.png", "animal": []}, r"line 2: unknown key 'animal'"),
        ({"image": "0.png", "animals": [[[1, 2]]]}, r"line 2: has shape"),
        ({"image": "0.png", "animals": [[["x", 2], None]]}, r"line 2: "),
        ([1], r"line 2 is not JSON"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, line: object, message: str) -> None:
    path = labels(tmp_path, {"format": LABELS, "skeleton": SKELETON}, line)
    with pytest.raises(DataError, match=message):
        LinesReader(ReaderSettings()).read(path)


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    assert not LinesReader.accepts(labels(tmp_path, {"format": PREDICTIONS}))
    assert not LinesReader.accepts(tmp_path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    skeleton = Skeleton(("nose", "tail"))
    header = PredictionsHeader(skeleton, "clip.mp4", 3, 64, 48, 25.0, "unet", "runs/first", {"key": "value"})
    nan = float("nan")
    frames = [
        Frame(0, Instances.from_keypoints([[[1.25, 2], [nan, nan]]], keypoint_scores=[[0.5, 0.9]], track=[7])),
        Frame(1, Instances.empty(2)),
        Frame.absent(2, skeleton, "could not be decoded"),
    ]
    path = tmp_path / "clip.jsonl"
    writer = LinesWriter(WriterSettings())
    writer.write(path, header, frames)
    assert writer.reads(path)
    stream = writer.read(path)
    assert stream.header == header
    for back, frame in zip(stream, frames, strict=True):
        assert (back.index, back.missing, back.image) == (frame.index, frame.missing, frame.image)
        for name in vars(frame.instances):
            np.testing.assert_array_equal(getattr(back.instances, name), getattr(frame.instances, name), name)
