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
    takes_selected = True

    def write(self, path, header, frames):
        rows = []
        for frame in frames:
            animals = frame.instances
            points = np.where(np.isnan(animals.keypoints), -1e9, animals.keypoints)
            corners = np.where(np.isnan(frame.unique_keypoints), -1e9, frame.unique_keypoints)
            who, sure = animals.identity.tolist(), frame.unique_scores.tolist()
            rows.append(
                [frame.index, points.tolist(), animals.keypoint_scores.tolist(), who, corners.tolist(), sure]
            )
        skeleton = header.skeleton
        names = [skeleton.keypoints, skeleton.individuals, skeleton.unique_keypoints]
        path.write_text(json.dumps({"toy": names, "frames": rows}), encoding="utf-8")

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
        keypoints, individuals, unique = map(tuple, content["toy"])
        skeleton = Skeleton(keypoints, individuals=individuals, unique_keypoints=unique)
        self.header = PredictionsHeader(skeleton, "", len(content["frames"]), 0, 0, 0, "", "")
        self.rows = content["frames"]

    def __iter__(self):
        for index, points, scores, who, corners, sure in self.rows:
            count = len(self.header.skeleton.keypoints)
            keypoints = np.asarray(points, np.float32).reshape(-1, count, 2)
            keypoints[keypoints < -1e8] = np.nan
            scores = np.asarray(scores).reshape(-1, count)
            animals = Instances.from_keypoints(keypoints, keypoint_scores=scores, identity=who)
            once = np.asarray(corners, np.float32).reshape(-1, 2)
            once[once < -1e8] = np.nan
            yield Frame(index, animals, once, np.asarray(sure, np.float32))


class ToyImporter(Importer):
    def read(self, snapshot, config=None, detector=None, data=None):
        raise RunError(f"{snapshot}: is no toy")
