"""Refuse to work on a plan with other weights, settings or versions than it was made with."""

from __future__ import annotations

from collections.abc import Mapping

from pose_core.errors import PoseError
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.job import describe_environment, identify
from pose_core.workers.plan import Plan


def check_environment(plan: Plan) -> None:
    """Refuse a plan that was made with other versions.

    Raises:
        PoseError: names what differs.
    """
    _refuse(plan, describe_environment(plan.maker["plugins"]))


def check_run(plan: Plan, estimator: PoseEstimator) -> None:
    """Refuse a run whose weights or settings are not those of the plan.

    Raises:
        PoseError: names what differs.
    """
    here = {
        **identify(estimator),
        "batch_size": estimator.batch_size,
        # Of "auto" no worker measures: all compute by what the plan was made with.
        "runtime": estimator.computing.name,
        "precision": estimator.spec.inference.precision,
    }
    _refuse(plan, here)


def _refuse(plan: Plan, here: Mapping[str, object]) -> None:
    if differs := plan.describe_differences(here):
        raise PoseError(
            f"{plan.home}: the plan was made with another state of {' and '.join(differs)}; put it back, or remove "
            "this folder and predict again"
        )
