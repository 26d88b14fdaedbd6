"""A reader, a writer and an importer."""

import json

import numpy as np

from pose_core.errors import DataError, RunError
from pose_core.interfaces import Importer, PredictionsHeader, PredictionsStream, Reader, Writer
from pose_core.structures import Frame, Instances, Skeleton


class ToyReader(Reader):
    @classmethod
    def accepts(cls, path):
        return path.suffix == ".toy"

    def read(self, path):
        raise DataError(f"{path}: is no toy")


class ToyWriter(Writer):
    extension = ".toy"

    def write(self, path, header, frames):
        rows = []
        for frame in frames:
            animals = frame.instances
            points = np.where(np.isnan(animals.keypoints), -1e9, animals.keypoints)
            rows.append([frame.index, points.tolist(), animals.keypoint_scores.tolist()])
        path.write_text(json.dumps({"toy": list(header.skeleton.keypoints), "frames": rows}), encoding="utf-8")

    @classmethod
    def reads(cls, path):
        return path.suffix == ".toy"

    def read(self, path):
        try:
            return ToyStream(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise DataError(f"{path}: is damaged ({' '.join(str(error).split())})") from None


class ToyStream(PredictionsStream):
    def __init__(self, content):
        skeleton = Skeleton(tuple(content["toy"]))
        self.header = PredictionsHeader(skeleton, "", len(content["frames"]), 0, 0, 0, "", "")
        self.rows = content["frames"]

    def __iter__(self):
        for index, points, scores in self.rows:
            count = len(self.header.skeleton.keypoints)
            keypoints = np.asarray(points, np.float32).reshape(-1, count, 2)
            keypoints[keypoints < -1e8] = np.nan
            animals = Instances.from_keypoints(keypoints, keypoint_scores=np.asarray(scores).reshape(-1, count))
            yield Frame(index, animals)


class ToyImporter(Importer):
    def read(self, snapshot, config=None, detector=None, data=None):
        raise RunError(f"{snapshot}: is no toy")
