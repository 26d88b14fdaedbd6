"""Choose and make a tracker by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, PluginError, argument, command
from pose_core.interfaces.tracker import Tracker, TrackerContext
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.specs import TrackerConfig, parse_component
from pose_core.structures import ByteArray, FloatArray, Frame, IntArray
from pose_core.tracking.corrections import Correction, GivenCorrections, find_corrections

RECOMMENDED = "recommended"
"""Tag of the tracker that is taken where the user names none."""

GivenTracker = str | Mapping[str, Any] | TrackerConfig | None


def choose_tracker(given: GivenTracker) -> TrackerConfig:
    """Find the config of the tracker that is meant.

    Args:
        given: its name, a mapping with settings too, or that mapping as YAML (``{type: NAME, setting:
            value}``); None: the one that its plugin recommends.

    Raises:
        ConfigError: no such tracker is installed, or a setting is wrong.
    """
    if isinstance(given, TrackerConfig):
        return given
    if given is None:
        trackers = get_catalog().components("tracker")
        tagged = [tracker for tracker in trackers if RECOMMENDED in tracker.definition.tags]
        if len(tagged) != 1:
            names = ", ".join(tracker.name for tracker in trackers) or "none"
            raise ConfigError(
                f"name a tracker by {argument('tracker', 'NAME')}; installed are: {names}"
                f"{get_catalog().not_installed('tracker')}"
            )
        given = tagged[0].full_name
    try:
        return parse_component("tracker", TrackerConfig, given)
    except ConfigError as error:
        raise ConfigError(f"{argument('tracker')}: {error}; {command('trackers')} lists them") from None


def make_tracker(config: TrackerConfig, context: TrackerContext) -> Tracker:
    """Make a tracker for one video."""
    tracker: Tracker = get_catalog().component("tracker", config.type).factory()(config, context)
    return tracker


METADATA = "tracker"
"""Key of the header's metadata that says how tracks were made."""


@dataclass(frozen=True)
class Tracking:
    """How animals are followed.

    Attributes:
        config: of the tracker.
        animals: how many there are; None: unknown, they may come and go.
        corrections: what a person decided, by frame; only where the number of animals is known.
    """

    config: TrackerConfig
    animals: int | None = None
    corrections: tuple[Correction, ...] = ()

    @classmethod
    def choose(cls, tracker: GivenTracker, animals: int | None, fix: GivenCorrections = None) -> Tracking:
        """Find the tracker that is meant.

        Raises:
            ConfigError: there is no such tracker, a setting is wrong, ``animals`` is below 1, or not given where there
                are corrections.
            DataError: corrections cannot be read, or contradict each other.
        """
        check_animals(animals)
        corrections = find_corrections(fix)
        if corrections and animals is None:
            raise ConfigError(
                f"{argument('fix')}: corrections need the number of animals; add {argument('animals', 'N')}"
            )
        return cls(choose_tracker(tracker), animals, corrections)

    @property
    def needs_images(self) -> bool:
        """Whether the tracker looks at images."""
        return "images" in self.config.needs()

    def to_json(self) -> dict[str, Any]:
        """Put it into plain values."""
        content = {"animals": self.animals, **self.config.model_dump(mode="json")}
        if self.corrections:
            content["corrections"] = [[row.frame, row.track, row.should_be] for row in self.corrections]
        return content

    def describe(self, header: PredictionsHeader) -> PredictionsHeader:
        """Note in a header how tracks were made."""
        return replace(header, metadata={**header.metadata, METADATA: json.dumps(self.to_json())})


def ask_tracker(
    tracker: Tracker, frame: Frame, image: ByteArray | None = None
) -> tuple[IntArray, FloatArray]:
    """Ask a tracker for the ids (N,) of a frame's animals, and their margins (N,), NaN where it tells none.

    Args:
        tracker: of the video.
        frame: the next one.
        image: (H, W, 3) uint8 RGB, for a tracker that needs images.

    Raises:
        PluginError: it does not keep what trackers promise.
    """
    if image is not None:
        tracker.take_image(frame.index, image)
    ids = tracker.update(frame.index, frame.instances)
    wrong = ""
    # Of a few animals lists are checked in half of the time of arrays.
    if ids.shape != (len(frame.instances),):
        wrong = f"{len(ids)} ids for {len(frame.instances)} animals"
    elif len(set(given := [id_ for id_ in ids.tolist() if id_ >= 0])) < len(given):
        wrong = "one id to two animals"
    elif tracker.context.animals is not None and len(given) > tracker.context.animals:
        wrong = f"{len(given)} ids where there are {tracker.context.animals} animals"
    margins = None if wrong else tracker.compute_margins()
    if margins is None:
        margins = np.full(len(ids), np.nan, np.float32)
    elif margins.shape != ids.shape:
        wrong = f"{len(margins)} margins for {len(ids)} animals"
    elif not all(
        math.isnan(margin) or (0 <= margin <= 1 and id_ >= 0)  # unknown, or that of a match
        for margin, id_ in zip(margins.tolist(), ids.tolist(), strict=True)
    ):
        wrong = "margins that are not from 0 to 1, or of animals without an id,"
    if wrong:
        raise PluginError(
            f"tracker {tracker.config.type}: gives {wrong} in frame {frame.index}; tell its authors, and choose "
            f"another {argument('tracker')}"
        )
    return ids, margins


def check_animals(animals: int | None) -> None:
    """Refuse a number of animals that is none.

    Raises:
        ConfigError: it is below 1.
    """
    if animals is not None and animals < 1:
        raise ConfigError(f"{argument('animals', str(animals))}: must be at least 1")
