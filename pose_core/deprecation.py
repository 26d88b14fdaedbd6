"""What goes away, when it was announced and when it goes: ``docs/deprecation.md`` has the policy.

A deprecated thing works as before and says so once a place of use. After its second date it is removed, and a test
fails while it is still there, so that nothing stays deprecated for ever.
"""

from __future__ import annotations

import datetime
import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LEAST = datetime.timedelta(days=180)
"""Shortest time from announcement to removal."""


class PoseDeprecationWarning(FutureWarning):
    """Something used goes away. Shown to users by default, unlike Python's own DeprecationWarning."""


@dataclass(frozen=True)
class Deprecation:
    """One thing that goes away.

    Attributes:
        what: as users know it (``pose_core.x.y``, ``train.old_key``).
        instead: what to use, as a sentence that follows "use": ``train.new_key``.
        announced: date of the release that announced it.
        removed: date of the first release without it, at least :data:`LEAST` later.

    Raises:
        ValueError: the dates are too close.
    """

    what: str
    instead: str
    announced: datetime.date
    removed: datetime.date

    def __post_init__(self) -> None:
        if self.removed - self.announced < LEAST:
            raise ValueError(
                f"{self.what}: announced on {self.announced}, it cannot be removed on {self.removed}; "
                f"users get {LEAST.days} days"
            )

    @property
    def message(self) -> str:
        """One line: what goes, since when that is known, when it goes, and what to use."""
        return f"{self.what} is deprecated since {self.announced} and goes away on {self.removed}; use {self.instead}"

    def overdue(self, today: datetime.date) -> bool:
        """Whether it should have been removed by now."""
        return today >= self.removed

    def warn(self, stacklevel: int = 2) -> None:
        """Tell the caller's caller; a place of use is told once."""
        warnings.warn(self.message, PoseDeprecationWarning, stacklevel=stacklevel + 1)


REGISTER: dict[str, Deprecation] = {}
"""All that is deprecated now, by ``what``."""


def deprecate(what: str, *, instead: str, announced: str, removed: str) -> Deprecation:
    """Register something that goes away; dates are ISO (``2027-06-30``). Call ``.warn()`` where it is used.

    Raises:
        ValueError: a date is none, the dates are too close, or it is registered already.
    """
    if what in REGISTER:
        raise ValueError(f"{what} is deprecated already")
    dates = [datetime.date.fromisoformat(date) for date in (announced, removed)]
    REGISTER[what] = Deprecation(what, instead, *dates)
    return REGISTER[what]


def deprecated(*, instead: str, announced: str, removed: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of functions that go away, see :func:`deprecate`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        what = f"{function.__module__}.{function.__qualname__}"
        notice = deprecate(what, instead=instead, announced=announced, removed=removed)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            notice.warn()
            return function(*args, **kwargs)

        wrapper.__doc__ = f"{inspect.getdoc(function) or ''}\n\nDeprecated: {notice.message}.".strip()
        return wrapper

    return decorate
