"""What is deprecated says so with both dates, works as before, and is gone when its time has come."""

from __future__ import annotations

import datetime
import importlib
import pkgutil
import warnings

import pytest

import pose_core
from pose_core import deprecation
from pose_core.deprecation import PoseDeprecationWarning, deprecate, deprecated

DATES = {"announced": "2026-01-01", "removed": "2026-12-31"}


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> dict[str, deprecation.Deprecation]:
    monkeypatch.setattr(deprecation, "REGISTER", {})
    return deprecation.REGISTER


def test_a_deprecated_function_works_and_tells_both_dates(register: dict[str, deprecation.Deprecation]) -> None:
    @deprecated(instead="twice", **DATES)
    def double(x: int) -> int:
        """Two times."""
        return 2 * x

    with pytest.warns(
        PoseDeprecationWarning, match="since 2026-01-01 and goes away on 2026-12-31; use twice"
    ) as caught:
        assert double(4) == 8
    assert caught[0].filename == __file__
    assert (double.__doc__ or "").startswith("Two times.\n\nDeprecated: ")
    assert len(register) == 1


def test_users_get_time(register: dict[str, deprecation.Deprecation]) -> None:
    with pytest.raises(ValueError, match="users get 180 days"):
        deprecate("x", instead="y", announced="2026-01-01", removed="2026-02-01")
    deprecate("x", instead="y", **DATES)
    with pytest.raises(ValueError, match="deprecated already"):
        deprecate("x", instead="y", **DATES)


def test_a_date_comes(register: dict[str, deprecation.Deprecation]) -> None:
    notice = deprecate("x", instead="y", **DATES)
    assert not notice.overdue(datetime.date(2026, 12, 30))
    assert notice.overdue(datetime.date(2026, 12, 31))


def test_nothing_outlives_its_second_date() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(pose_core.__path__, "pose_core."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    late = [n.message for n in deprecation.REGISTER.values() if n.overdue(datetime.date.today())]
    assert not late, f"remove them: {late}"
