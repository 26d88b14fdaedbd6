"""Make the loggers of a training, and keep those from stopping it that fail on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pose_core.catalog import find_missing_package, get_catalog
from pose_core.errors import ConfigError, PoseError, described
from pose_core.interfaces.logger import Logger, LoggerContext
from pose_core.reporting import Reporter
from pose_core.specs import RunBase
from pose_core.specs.run import NetworkSpec
from pose_core.structures import ByteArray


def check_loggers(spec: NetworkSpec) -> None:
    """Refuse loggers whose packages are not installed; also of the networks below.

    Raises:
        ConfigError: one is missing; the message says how to install it.
    """
    for config in spec.train.loggers:
        factory = get_catalog().component("logger", config.type).factory()
        if (missing := find_missing_package(factory)) is not None:
            raise ConfigError(
                f"train.loggers: {config.type} needs {missing}, which is not installed: pip install {missing}"
            )
    for below in spec.builds_on().values():
        check_loggers(below)


class Loggers:
    """The loggers of one training.

    Args:
        spec: of the network.
        folder: of its run.
        reporter: is told of a logger that fails.

    Raises:
        ConfigError: one cannot be started.
    """

    def __init__(self, spec: RunBase, folder: Path, reporter: Reporter) -> None:
        self._reporter = reporter
        self._made: list[tuple[str, Logger]] = []
        context = LoggerContext(folder.resolve(), folder.resolve().name)
        for config in spec.train.loggers:
            component = get_catalog().component("logger", config.type)
            try:
                made: Logger = component.factory()(config, context)
                made.log_config(spec.model_dump(mode="json"))
            except PoseError:
                raise
            # Whatever a library for a distant server raises: no connection, no login, no room.
            except Exception as error:
                raise ConfigError(
                    f"train.loggers: {config.type} cannot be started: {described(error)}"
                ) from error
            self._made.append((config.type, made))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Hand on the metrics of a validation."""
        self._tell(lambda logger: logger.log_metrics(metrics, step))

    def log_image(self, name: str, image: ByteArray, step: int) -> None:
        """Hand on a picture, (height, width, 3) RGB, uint8."""
        self._tell(lambda logger: logger.log_image(name, image, step))

    def finish(self, completed: bool) -> None:
        """Close all of them."""
        self._tell(lambda logger: logger.finish(completed))
        self._made = []

    def _tell(self, act: Callable[[Logger], Any]) -> None:
        for name, logger in list(self._made):
            try:
                act(logger)
            # The same: hours of training must not be lost because a server does not answer.
            except Exception as error:
                self._made.remove((name, logger))
                self._reporter.note(f"train.loggers: {name} gets nothing more: {described(error)}")
