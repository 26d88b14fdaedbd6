import tempfile
from pathlib import Path

import cv2
import numpy as np

from pose_core.errors import DataError
from pose_core.interfaces import Reader
from pose_core.io.images import read_image_size
from pose_core.specs import ReaderConfig
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton


class OnePoint(Reader):
    """A text file with 'image x y' in each line."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return path.suffix == ".points"

    def read(self, path: Path) -> LabelledDataset:
        images = []
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                name, x, y = line.split()
                points = [[[float(x), float(y)]]]
            except ValueError:
                raise DataError(f"{path}: line {number}: write it as 'image x y', not {line!r}") from None
            file = path.parent / name
            width, height = read_image_size(file)
            images.append(
                LabelledImage.create(ImageFile(file), name, width, height, Instances.from_keypoints(points))
            )
        return LabelledDataset(Skeleton(("point",)), tuple(images), root=path, name=path.stem)


with tempfile.TemporaryDirectory() as folder:
    cv2.imwrite(f"{folder}/0.png", np.zeros((48, 64, 3), np.uint8))
    labels = Path(folder, "mine.points")
    labels.write_text("0.png 12.5 30\n")
    assert OnePoint.accepts(labels)
    (image,) = OnePoint(ReaderConfig()).read(labels).images
    assert (image.width, image.height) == (64, 48)
