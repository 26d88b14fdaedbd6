"""Options of a whole training, whatever networks it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pose_core.errors import argument
from pose_core.specs.resolve import Layer, make_option_layer
from pose_core.specs.train import Seconds
from pose_core.specs.validation_errors import validate_option

_KEYS = {"keypoints": "data.keypoints", "test_data": "data.test_source"}
"""Keys of options that are not of the same name in ``train``."""


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``pose train`` and arguments of :func:`pose_core.train`; None: not given.

    ``stages.NAME.train`` is said of one network and wins for that network.

    Attributes:
        weights: that the model starts from, see ``train.weights``; ``none`` holds for every network.
        epochs, batch_size: of each network that is trained.
        max_time: of all of them, divided evenly: seconds, or a text such as ``10m``.
        device, devices, nodes, precision, seed: of each of them.
        keypoints: names of those of the project that are learned.
        test_data: another labelled project, whose images are the test images.
        replay: keep the keypoints that only the weights know, see ``train.replay``.
    """

    weights: str | None = None
    epochs: int | None = None
    max_time: float | str | None = None
    batch_size: int | None = None
    device: str | None = None
    devices: int | None = None
    nodes: int | None = None
    precision: str | None = None
    seed: int | None = None
    keypoints: Sequence[str] | None = None
    test_data: Path | str | None = None
    replay: bool = False

    def layer(self) -> Layer:
        """Make the layer of the network that the command names."""
        return make_option_layer(
            (argument(name), _KEYS.get(name, f"train.{name}"), value) for name, value in self._given().items()
        )

    def stage_layer(self) -> Layer:
        """Make the layer of the networks that it builds on."""
        # Only what is meant for each network: weights are of one, and the time is shared out later.
        given = self._given()
        return make_option_layer(
            (argument(name), f"train.{name}", given.get(name)) for name in ("epochs", "batch_size")
        )

    def seconds(self) -> float | None:
        """Parse the time of the whole training.

        Raises:
            ConfigError: it is no time.
        """
        if self.max_time is None:
            return None
        return float(validate_option(argument("max_time"), self.max_time, Seconds))

    def _given(self) -> Mapping[str, object]:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        # An empty section: what a file says in it stays.
        given["replay"] = {} if self.replay else None
        # A configuration holds plain values.
        return {
            name: str(value)
            if isinstance(value, Path)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in given.items()
            if value is not None
        }
