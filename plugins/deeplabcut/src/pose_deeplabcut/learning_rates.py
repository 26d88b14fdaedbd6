"""Optimiser and scheduler of DeepLabCut's pytorch_config.yaml as those here.

Schedulers are torch's, stepped once an epoch, and DeepLabCut's list of rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pose_deeplabcut.model_config import Section

# What torch takes where the file says nothing.
_LR = 1e-3
_LRS = {
    **dict.fromkeys(("adagrad", "asgd", "rmsprop", "rprop", "adafactor"), 0.01),
    **dict.fromkeys(("adamax", "nadam"), 0.002),
    "adadelta": 1.0,
}
_WEIGHT_DECAY = {"adamw": 0.01}
_OPTIONS = {"sgd": {"momentum": 0.0, "nesterov": False}}
"""Options whose defaults are others here."""
_OF_ARITHMETIC = ("foreach", "fused", "capturable", "differentiable")
_DIGITS = 6


def make_optimizer(runner: Section) -> tuple[dict[str, Any], list[str]]:
    """Make ``train.optimizer``.

    Args:
        runner: section ``runner``.

    Returns:
        the optimiser, and a note where something is left out.

    Raises:
        RunError: a value is none that an optimiser takes.
    """
    section = runner.optional("optimizer") or Section(
        runner.path, f"{runner.at}.optimizer", {"type": "AdamW"}
    )
    name = section.text("type").lower()
    params = section.optional("params") or Section(section.path, section.at, {})
    made: dict[str, Any] = {
        "name": name,
        "lr": params.positive("lr", _LRS.get(name, _LR)),
        "weight_decay": params.number("weight_decay", _WEIGHT_DECAY.get(name, 0.0)),
    }
    options = dict(_OPTIONS.get(name, {})) | {
        str(key): _plain(value)
        for key, value in params.content.items()
        if key not in ("lr", "weight_decay", *_OF_ARITHMETIC)
    }
    if options:
        made["options"] = options
    left = [f"{key} {params.content[key]}" for key in _OF_ARITHMETIC if params.content.get(key) is not None]
    return made, [f"{params.at}: not taken over: {', '.join(left)}"] if left else []


def _plain(value: Any) -> Any:
    """A value, with ``1e-08`` as the number that it is to DeepLabCut."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def make_schedule(runner: Section, lr: float, epochs: int) -> tuple[dict[str, Any], list[str]]:
    """Make ``train.schedule``.

    Args:
        runner: section ``runner``.
        lr: of the optimiser.
        epochs: of the training.

    Returns:
        the schedule, and a note where it is another.

    Raises:
        RunError: a value is none that a scheduler takes.
    """
    section = runner.optional("scheduler")
    if section is None:
        return {"type": "constant", "warmup": 0.0}, []
    kind = section.text("type")
    params = section.optional("params") or Section(section.path, section.at, {})
    if kind == "MultiStepLR":
        return {
            "type": "milestones",
            "warmup": 0.0,
            "epochs": params.whole_numbers("milestones"),
            "factor": params.number("gamma", 0.1),
        }, []
    if kind == "CosineAnnealingLR" and params.number("T_max") == epochs:
        return {"type": "cosine", "warmup": 0.0, "final": _round(params.number("eta_min", 0.0) / lr)}, []
    rates = _rates(section, lr, epochs)
    if rates is None:
        return {"type": "constant", "warmup": 0.0}, [
            f"{section.at}: {kind} is not taken over, and the learning rate is constant here; see train.schedule"
        ]
    changes = [at for at, (before, rate) in enumerate(pairwise([_round(lr), *rates])) if rate != before]
    if not changes:
        return {"type": "constant", "warmup": 0.0}, []
    return {"type": "rates", "warmup": 0.0, "epochs": changes, "rates": [rates[at] for at in changes]}, []


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _rates(section: Section, lr: float, epochs: int) -> list[float] | None:
    """The learning rate of each epoch; None where the scheduler is not known."""
    parts = _parts(section)
    if parts is None:
        return None
    rates, last = [], lr
    for epoch in range(epochs):
        since, kind, params = next(part for part in reversed(parts) if part[0] <= epoch)
        last = _rate(kind, params, epoch - since, lr, last)
        rates.append(_round(last))
    return rates


def _parts(section: Section) -> list[tuple[int, str, Section]] | None:
    """From which epoch on which scheduler decides, with its parameters."""
    kind = section.text("type")
    params = section.section("params")
    if kind != "SequentialLR":
        return [(0, kind, params)] if kind in _KNOWN else None
    starts = [0, *params.whole_numbers("milestones")]
    found = []
    listed = params.content.get("schedulers")
    if not isinstance(listed, list) or len(listed) != len(starts):
        raise params.error("must be one more than there are milestones", "schedulers")
    for number, (start, each) in enumerate(zip(starts, listed, strict=True)):
        inner = Section(
            params.path, f"{params.at}.schedulers[{number}]", each if isinstance(each, Mapping) else {}
        )
        if inner.text("type") not in _KNOWN:
            return None
        found.append((start, inner.text("type"), inner.section("params")))
    return found


def _rate(kind: str, params: Section, epoch: int, lr: float, last: float) -> float:
    """The learning rate in an epoch of a scheduler, by the formulas of torch's documentation."""
    if kind == "LRListScheduler":
        milestones = params.whole_numbers("milestones")
        rates = _listed_rates(params, len(milestones))
        return rates[milestones.index(epoch)] if epoch in milestones else last
    if kind == "CosineAnnealingLR":
        low, period = params.number("eta_min", 0.0), params.positive("T_max")
        return low + (lr - low) * (1 + math.cos(math.pi * epoch / period)) / 2
    if kind == "LinearLR":
        first, end = params.number("start_factor", 1 / 3), params.number("end_factor", 1.0)
        return lr * (first + (end - first) * min(1.0, epoch / params.positive("total_iters", 5)))
    if kind == "ConstantLR":
        return lr * (params.number("factor", 1 / 3) if epoch < params.number("total_iters", 5) else 1.0)
    if kind == "StepLR":
        return lr * math.pow(params.number("gamma", 0.1), epoch // params.positive("step_size"))
    if kind == "MultiStepLR":
        passed = sum(epoch >= milestone for milestone in params.whole_numbers("milestones"))
        return lr * math.pow(params.number("gamma", 0.1), passed)
    return lr * math.pow(params.number("gamma"), epoch)


_KNOWN = frozenset(
    [
        "LRListScheduler",
        "CosineAnnealingLR",
        "LinearLR",
        "ConstantLR",
        "StepLR",
        "MultiStepLR",
        "ExponentialLR",
    ]
)


def _listed_rates(params: Section, count: int) -> list[float]:
    """The rates of ``lr_list``, which has a list for each milestone: one rate a group of parameters."""
    try:
        rates = [float(rate) for (rate,) in params.content["lr_list"]]
    except (KeyError, TypeError, ValueError):
        rates = []
    if len(rates) != count or not all(rate > 0 for rate in rates):
        raise params.error("must hold a list of one learning rate for each milestone", "lr_list")
    return rates
