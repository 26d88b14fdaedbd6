"""Read tasks that Label Studio exported, with the order of keypoints that its labelling interface has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from pose_core.errors import DataError, setting
from pose_core.io.files import is_file, parse_json
from pose_core.io.text import read_text
from pose_sleapio.base import SleapIOReader
from pose_sleapio.config import LabelStudioConfig
from pose_sleapio.readers import starts_like

_CONFIG = "labeling_config.xml"
_LISTS = ("annotations", "completions")


class LabelStudioReader(SleapIOReader):
    """Read Label Studio's JSON.

    Labels are percent of the image, which the file has the size of. A rectangle that keypoints are related to
    is an animal; keypoints without one make an animal together.
    """

    config: LabelStudioConfig
    format: ClassVar[str] = "Label Studio's JSON"

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a JSON list of tasks with results."""
        return starts_like(path, ".json", "[", '"result"')

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load it; of several annotations of a task sleap-io takes the first."""
        from sleap_io import Skeleton
        from sleap_io.io.labelstudio import parse_tasks

        tasks, empty = [], 0
        for number, task in enumerate(parse_json(read_text(path))):
            key = next((key for key in _LISTS if key in task), None)
            if key is None:
                raise ValueError(f"task {number} has neither {' nor '.join(_LISTS)}")
            if not task[key]:
                empty += 1
                continue
            tasks.append(_add_image(task, key, number))
        if empty:
            notes.append(f"{empty} tasks without annotations left out")
        used = sorted({label for task in tasks for label in _list_labels(task)})
        names = self._order(path, used, notes)
        return parse_tasks(tasks, Skeleton(nodes=names))

    def _order(self, path: Path, used: Sequence[str], notes: list[str]) -> list[str]:
        """Order the keypoints as the labelling interface does; without it by name."""
        given = self.config.labeling_config
        file = path.parent / (given or _CONFIG)
        if not is_file(file):
            if given is not None:
                raise DataError(f"{file}: the labelling interface does not exist")
            wanted = setting("data.reader.type=label-studio", "data.reader.labeling_config=FILE")
            notes.append(
                f"keypoints are in the order of their names; save the labelling interface as {file.name} beside the "
                f"tasks, or name it ({wanted}), for the order that it has"
            )
            return list(used)
        names = _read_interface(file)
        if unknown := [name for name in used if name not in names]:
            raise DataError(
                f"{path}: keypoints {', '.join(unknown)} are not in {file}, which has {', '.join(names)}"
            )
        return names


def _add_image(task: dict[str, Any], key: str, number: int) -> dict[str, Any]:
    """Say where the image of a task is, as sleap-io expects it, where the task was not written by sleap-io."""
    if "video" in task.get("meta", {}):
        return task
    data = task.get("data", {})
    # The interface names the value ($image); of several only one is an image.
    found = [value for value in data.values() if isinstance(value, str) and _is_image(value)]
    if len(found) != 1:
        raise ValueError(f"task {number} names {len(found)} images in its data")
    results = task[key][0].get("result", ())
    sizes = {
        (entry["original_height"], entry["original_width"]) for entry in results if "original_width" in entry
    }
    height, width = next(iter(sizes), (1, 1))
    video = {"filename": _find_path(found[0]), "frame_idx": 0, "shape": [1, height, width, 3]}
    return {**task, "meta": {**task.get("meta", {}), "video": video}}


def _is_image(value: str) -> bool:
    return re.search(r"\.(png|jpe?g|bmp|tiff?)$", _find_path(value), re.IGNORECASE) is not None


def _find_path(value: str) -> str:
    """Find the path of an image that Label Studio serves: ``/data/local-files/?d=rig/1.png``, an upload, a URL."""
    parts = urlsplit(value)
    asked = parse_qs(parts.query).get("d")
    path = asked[0] if asked else unquote(parts.path)
    return path.lstrip("/") if asked or parts.scheme or path.startswith("/data/") else path


def _list_labels(task: dict[str, Any]) -> list[str]:
    results = task[next(key for key in _LISTS if key in task)][0]["result"]
    kept = [entry["value"]["keypointlabels"] for entry in results if entry["type"] == "keypointlabels"]
    return [name for names in kept for name in names]


def _read_interface(file: Path) -> list[str]:
    """Read the names of keypoints in a labelling interface, in its order."""
    text = read_text(file)
    # An interface has no declarations; one that has could expand to gigabytes.
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        raise DataError(f"{file}: has declarations, which no labelling interface has")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{file}: is no XML ({error})") from None
    names = [label.get("value") for kind in root.iter("KeyPointLabels") for label in kind.iter("Label")]
    if not names or not all(names):
        raise DataError(f"{file}: has no KeyPointLabels with values")
    return [str(name) for name in dict.fromkeys(names)]
