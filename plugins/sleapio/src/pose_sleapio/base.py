"""Labels of sleap-io -> a labelled dataset: what all readers of this plugin share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pose_core.errors import DataError, PluginError, PoseError
from pose_core.interfaces import Reader
from pose_core.structures import Instances, LabelledDataset, LabelledImage, Skeleton
from pose_core.symmetry import symmetry_from_names
from pose_sleapio.config import SleapIOReaderConfig
from pose_sleapio.images import Picture, find_pictures

INSTALL = "pip install 'sleap-io[mat]>=0.9.5,<0.10'"


class SleapIOReader(Reader):
    """Read labels that sleap-io understands.

    Attributes:
        format: what the files are of, for messages.
        keeps_empty: whether an image without animals is one that shows none; else it was not labelled.
    """

    config: SleapIOReaderConfig
    format: ClassVar[str]
    keeps_empty: ClassVar[bool] = False

    @abstractmethod
    def load(self, path: Path, notes: list[str]) -> Any:
        """Load ``sleap_io.Labels``.

        Args:
            path: of the labels.
            notes: gets a line for each thing that the user should know.

        Raises:
            Anything: what sleap-io raises for a file that it cannot read becomes one line.
        """

    def read(self, path: Path) -> LabelledDataset:
        """Read all animals; of an image with labels of a user these alone.

        Individuals are unknown, for no format here says that a track's name is an animal's in every video.
        ``Instances.track`` is the place of the track in the file.

        Raises:
            PluginError: sleap-io is not installed.
            DataError: the labels cannot be used; one line with the reason.
        """
        _require_sleap_io()
        notes: list[str] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                labels = self.load(path, notes)
            frames = _join_frames(labels, self.keeps_empty, notes)
            skeleton = _choose_skeleton(labels)
        except PoseError:
            raise
        # A library of many formats meets damaged files in as many ways.
        except Exception as error:
            raise DataError(
                f"{path}: sleap-io cannot read it as {self.format} ({_one_line(error)})"
            ) from None
        # What sleap-io leaves out or changes it says as warnings.
        notes += [f"sleap-io: {_one_line(entry.message)}" for entry in caught if _concerns_labels(entry)]
        if not any(animals for animals in frames.values()):
            raise DataError(f"{path}: holds no labelled animals")
        pictures = find_pictures(path, list(frames), self.config.images, self.config.type, notes)
        pairs, told = order_pairs(skeleton)
        notes += told
        tracks = {id(track): i for i, track in enumerate(labels.tracks)}
        images = tuple(
            _make_image(picture, animals, tracks, len(skeleton.nodes))
            for picture, animals in zip(pictures, frames.values(), strict=True)
        )
        most = max(len(animals) for animals in frames.values())
        if tracks and most > 1:
            notes.append(f"{len(tracks)} tracks are not taken for individuals")
        try:
            ours = Skeleton(
                keypoints=tuple(skeleton.node_names),
                edges=tuple((edge.source.name, edge.destination.name) for edge in skeleton.edges),
                symmetry=pairs,
                individuals=("animal",) if most == 1 else tuple(f"animal{i + 1}" for i in range(most)),
            )
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
        lines = tuple(dict.fromkeys(f"{path}: {note}" for note in notes))
        return LabelledDataset(ours, images, root=path, name=path.stem, notes=lines)


Place = tuple[tuple[str, ...], int]
"""Names of the files of a video, and number of the frame in it."""


def _require_sleap_io() -> None:
    try:
        import sleap_io  # noqa: F401
    except ImportError:
        raise PluginError(f"sleap-io, which reads this format, is not installed: {INSTALL}") from None


def _concerns_labels(entry: warnings.WarningMessage) -> bool:
    # Of libraries that grow old the user need not know.
    return not issubclass(entry.category, DeprecationWarning | PendingDeprecationWarning | FutureWarning)


def _choose_skeleton(labels: Any) -> Any:
    used = {id(i.skeleton): i.skeleton for frame in labels.labeled_frames for i in frame.instances}
    if len({tuple(skeleton.node_names) for skeleton in used.values()}) > 1:
        names = "; ".join(", ".join(skeleton.node_names) for skeleton in used.values())
        raise ValueError(f"its animals have several skeletons: {names}")
    return next(iter(used.values()), None) or labels.skeleton


def _join_frames(labels: Any, keeps_empty: bool, notes: list[str]) -> dict[Place, list[Any]]:
    """Collect the animals of each image, in the order of the labels."""
    frames: dict[Place, list[Any]] = {}
    counts: Counter[str] = Counter()
    for frame in labels.labeled_frames:
        name = frame.video.filename
        names = tuple(map(str, name)) if isinstance(name, list | tuple) else (str(name),)
        user = list(frame.user_instances)
        predicted = list(frame.predicted_instances)
        counts["left"] += len(predicted) if user else 0
        counts["predicted"] += 0 if user else len(predicted)
        animals = [animal for animal in user or predicted if np.isfinite(animal.numpy()).all(axis=1).any()]
        counts["blank"] += len(user or predicted) - len(animals)
        if not animals and not keeps_empty:
            counts["empty"] += 1
            continue
        place = names, int(frame.frame_idx)
        counts["joined"] += place in frames
        frames.setdefault(place, []).extend(animals)
    for key, note in (
        ("predicted", "predicted animals are read as labels"),
        ("left", "predicted animals beside those of users left out"),
        ("blank", "animals without any point left out"),
        ("empty", "images without animals left out; the format does not say that they show none"),
        ("joined", "images are listed more than once; their animals are joined"),
    ):
        if counts[key]:
            notes.append(f"{counts[key]} {note}")
    return frames


def order_pairs(skeleton: Any) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Order symmetric pairs as left and right by their names, or tell them from the names.

    Returns:
        the pairs (left, right), and notes.
    """
    told = symmetry_from_names(tuple(skeleton.node_names))
    known = {frozenset(node.name for node in pair.nodes) for pair in skeleton.symmetries}
    if not known:
        return told, [f"left/right pairs, told from the names: {_join(told)}"] if told else []
    sides = {frozenset(pair): pair for pair in told}
    order = {name: i for i, name in enumerate(skeleton.node_names)}
    unsaid = sorted(
        (tuple(sorted(pair, key=order.__getitem__)) for pair in known - sides.keys()),
        key=lambda pair: order[pair[0]],
    )
    both = [(first, second) for first, second in unsaid]
    notes = [f"symmetric pairs taken as left/right in the order of keypoints: {_join(both)}"] if both else []
    return (*(sides[pair] for pair in sides if pair in known), *both), notes


def _make_image(
    picture: Picture, animals: Sequence[Any], tracks: dict[int, int], keypoints: int
) -> LabelledImage:
    if not animals:
        none = Instances.empty(keypoints)
        return LabelledImage.create(picture.image, picture.name, picture.width, picture.height, none)
    points = np.stack([animal.numpy() for animal in animals]).astype(np.float32)
    # Half a point is none.
    points[~np.isfinite(points).all(axis=-1)] = np.nan
    track = [tracks.get(id(animal.track), -1) for animal in animals]
    found = Instances.from_keypoints(points, track=track)
    return LabelledImage.create(picture.image, picture.name, picture.width, picture.height, found)


def _join(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{first}/{second}" for first, second in pairs)


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Exception) and not isinstance(error, Warning):
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text
