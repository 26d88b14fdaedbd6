"""Level 1: loggers of a training."""

from __future__ import annotations

import copy
import importlib.util
import random
import tempfile
from pathlib import Path

import numpy as np
import torch

from pose_core.errors import ConfigError
from pose_core.interfaces.logger import Logger, LoggerContext
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_CONFIG = {"train": {"epochs": 2, "optimizer": {"lr": 1e-3}}, "model": {"sizes": [1, 2], "neck": None}}
_METRICS = {"train/loss": 0.5, "learning_rate": 1e-3}


def _log_training(subject: ComponentSubject, folder: Path, first: int = 1) -> None:
    factory = subject.component.factory()
    for module, distribution in getattr(factory, "packages", {}).items():
        if importlib.util.find_spec(module) is None:
            raise skip(f"needs {distribution}")
    try:
        logger: Logger = factory(subject.config, LoggerContext(folder, folder.name))
    except ConfigError as error:
        # A server that everybody names for himself, and that no test has.
        raise skip(f"cannot be made here: {error}") from None
    config, metrics = copy.deepcopy(_CONFIG), dict(_METRICS)
    image = np.zeros((4, 6, 3), np.uint8)
    logger.log_config(config)
    for step in (first, first + 10):
        logger.log_metrics(metrics, step)
        logger.log_image("pictures/batch", image, step)
        # Images without labels give no validation error, and a resumed training may bring one.
        metrics["validation/error_px"] = 1.0
    demand(config == _CONFIG and not image.any(), "it changes what it is given")
    logger.finish(completed=True)


def _read_random_states() -> tuple[object, str, list[int]]:
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


@check(1, "logger")
def check_logger_takes_a_training(subject: ComponentSubject) -> None:
    """It takes configuration, metrics that come and go, and pictures, of a training and of one that is resumed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        _log_training(subject, Path(name).resolve())
        # Resumed from a checkpoint before the last validation: a step comes twice.
        _log_training(subject, Path(name).resolve(), first=11)


@check(1, "logger")
def check_logger_draws_no_random_numbers(subject: ComponentSubject) -> None:
    """A training is the same with and without it: it leaves the random numbers of torch, numpy and random alone."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = _read_random_states()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        _log_training(subject, Path(name).resolve())
    after = _read_random_states()
    for source, one, other in zip(("random", "numpy", "torch"), before, after, strict=True):
        demand(one == other, f"it changes the random numbers of {source}")


CHECKS = (check_logger_takes_a_training, check_logger_draws_no_random_numbers)
