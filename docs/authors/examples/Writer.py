import tempfile
from collections.abc import Iterable
from pathlib import Path

from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.specs import WriterConfig
from pose_core.structures import Frame, Instances, Skeleton


class Counts(Writer):
    """How many animals are in each frame."""

    extension = ".txt"

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        with path.open("w") as file:
            for frame in frames:  # as they come: memory does not grow with their number
                file.write(f"{frame.index} {len(frame.instances)}\n")


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "clip.txt")
    header = PredictionsHeader(Skeleton(("nose",)), "clip.mp4", 2, 64, 48, 25.0, "unet", "runs/first")
    frames = [Frame(0, Instances.from_keypoints([[[3.0, 4.0]]])), Frame(1, Instances.empty(1))]
    Counts(WriterConfig()).write(file, header, frames)
    assert file.read_text() == "0 1\n1 0\n"
