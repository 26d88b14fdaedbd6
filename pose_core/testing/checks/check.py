"""Conformance checks as values, and the demand that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PLUGIN = "plugin"
MODEL = "model"
RECIPE = "recipe"
EXTRA_HEAD = "extra_head"
WEIGHTS = "weights"
ZOO = "zoo"
KIND = "kind"
COMMAND = "command"

COMPONENT = "component"
"""Stands for the components of every kind that has configs."""

NETWORK = "network"
"""Stands for the components of every kind that has a harness: parts with parameters."""


# Any: each check takes the class of subject that its kinds have, and a parameter of a function cannot be
# narrowed; Callable[[Subject], None] would refuse a check of a ComponentSubject.
CheckFunction = Callable[[Any], None]


class NotApplicable(Exception):
    """The check says nothing about this subject; the message says why."""


@dataclass(frozen=True)
class Check:
    """One demand on a plugin or on something that it offers.

    Attributes:
        name: by which it is called in reports and in ``expected_failures``.
        level: 0 without torch, 1 on the CPU, 2 against stored outputs, 3 what not every machine can.
        on: kinds of subjects that it is about.
        function: takes the subject; raises AssertionError where the demand is not met, :class:`NotApplicable`
            where it says nothing. Any other exception is a failure too.
        demand: one line: what is demanded, and what an author does about it.
    """

    name: str
    level: int
    on: tuple[str, ...]
    function: CheckFunction
    demand: str


def check(level: int, *on: str) -> Callable[[CheckFunction], Check]:
    """Make a :class:`Check` of a function ``check_NAME``; its docstring is the demand.

    Args:
        level: 0 without torch, 1 on the CPU, 2 against stored outputs, 3 what not every machine can.
        on: kinds of components (``backbone``, ``namespace/kind``) and of other subjects that it is about.
    """

    def make(function: CheckFunction) -> Check:
        # The docstring is the demand, so that the documentation, the report and the source cannot differ.
        # It may run over several lines there, and is one line in a report.
        demand = " ".join((function.__doc__ or "").split())
        return Check(function.__name__.removeprefix("check_"), level, on, function, demand)

    return make


def demand(condition: object, message: str) -> None:
    """Fail with one line unless the condition holds."""
    # object, not bool: the checks pass matches, lists and tensors of one element, all true where they hold.
    if not condition:
        raise AssertionError(" ".join(message.split()))
