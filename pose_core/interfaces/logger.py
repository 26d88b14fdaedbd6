"""Logger: what a training measures and draws -> wherever it is watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pose_core.specs.training_components import LoggerConfig
from pose_core.structures import ByteArray


@dataclass(frozen=True)
class LoggerContext:
    """What a logger is told of the training.

    Attributes:
        folder: of the run, absolute; files of the logger go into it where its config says nothing else.
        name: of the run, the name of that folder.
    """

    folder: Path
    name: str


class Logger(ABC):
    """Gets what a training measures and draws.

    It is made, in the first process only, when the training starts or is resumed; a resumed training begins with
    the validation after the last checkpoint, so a step may come twice. What it raises then ends the training in
    one line; later it is left out with a note, and the training goes on. It must not draw random numbers of torch,
    numpy or ``random``: a training is the same with and without it.

    Attributes:
        packages: module -> distribution of what it needs beyond what its plugin requires; a missing one is
            refused before the labels are read, with the command that installs it.

    Args:
        config: of the logger.
        context: of the training.
    """

    packages: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: LoggerConfig, context: LoggerContext) -> None:
        self.context = context

    def log_config(self, config: Mapping[str, Any]) -> None:  # noqa: B027 - may be left out
        """Take the decided configuration of the network, plain values in mappings and lists; called once, first."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Take the metrics of a validation.

        Args:
            metrics: by name: ``train/loss``, ``validation/error_px``, ``learning_rate`` ...
            step: steps of the optimiser so far.
        """

    def log_image(self, name: str, image: ByteArray, step: int) -> None:  # noqa: B027 - may be left out
        """Take a picture.

        Args:
            name: ``pictures/batch``, for example.
            image: (height, width, 3) RGB, uint8.
            step: as for metrics.
        """

    def finish(self, completed: bool) -> None:  # noqa: B027 - may be left out
        """Write what is left, and close; called once, last.

        Args:
            completed: False where an error or the user stopped the training.
        """
