"""Runs the conformance checks: as tests of a plugin, and for ``pose check``.

In the tests of a plugin one assignment is enough::

    from pose_core.testing import parametrize_with_checks

    test_conformance = parametrize_with_checks(
        "pose-mynet",
        expected_failures={"learns_one_batch[backbone/mynet]": "its first layers are frozen by design"},
    )
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, DataError, PluginError, argument, command, described
from pose_core.io.files import write_whole
from pose_core.plugins import find_place
from pose_core.testing.checks import NotApplicable, checks_of_level_0, every_check
from pose_core.testing.checks.check import NETWORK, Check
from pose_core.testing.checks.targets import (
    ComponentSubject,
    StoredOutputs,
    StoredSummaries,
    Subject,
    subjects,
)

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True, eq=False)
class Item:
    """One check of one subject."""

    check: Check
    subject: Subject

    @property
    def id(self) -> str:
        """``gradients_are_finite[backbone/resnet]``; without brackets for the plugin itself."""
        return f"{self.check.name}[{self.subject.label}]" if self.subject.label else self.check.name


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        check, subject: their names.
        plugin: namespace.
        level: of the check.
        status: ``passed``, ``failed`` or ``skipped``.
        reason: one line; empty where it passed.
        advice: one line, what is demanded, where it is not met; empty where the plugin raised instead.
        seconds: it took.
    """

    check: str
    subject: str
    plugin: str
    level: int
    status: str
    reason: str
    advice: str
    seconds: float

    @property
    def id(self) -> str:
        """See :attr:`Item.id`."""
        return f"{self.check}[{self.subject}]" if self.subject else self.check


def items(name: str, levels: Iterable[int] = (0, 1), reference: StoredOutputs | None = None) -> list[Item]:
    """The checks of a distribution, plugin, component or model.

    Args:
        name: bare or full.
        levels: of the checks. With level 0 alone torch is not imported.
        reference: stored outputs, for level 2.

    Raises:
        ConfigError: nothing of that name is installed.
    """
    wanted = set(levels)
    found = subjects(name, reference)
    # Only the kinds that are looked at: what is wrong with the checks of another is no failure of this
    # plugin.
    kinds = {name: kind for name, kind in get_catalog().kinds.items() if name in {s.kind for s in found}}
    checks = every_check(kinds) if wanted - {0} else checks_of_level_0(kinds)
    return [
        Item(check, subject)
        for subject in found
        for check in checks
        if check.level in wanted and set(check.on) & set(subject.kinds)
    ]


def run(item: Item) -> CheckResult:
    """Run one check."""
    start = time.perf_counter()
    status, reason, advice = PASSED, "", ""
    try:
        # A report has one line for each check. A library that warns while a part is built would break into
        # it, and a warning is no failure.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            item.check.function(item.subject)
    except NotApplicable as why:
        status, reason = SKIPPED, str(why)
    # demand() asserts, so the author is told what is demanded. Everything else comes out of the plugin's
    # own code: there the place helps, and the demand would only distract.
    except AssertionError as error:
        status, reason, advice = (
            FAILED,
            " ".join(str(error).split()) or "an assertion failed",
            item.check.demand,
        )
    except Exception as error:  # whatever a plugin raises is what the report is about
        place = find_place(error, item.subject.plugin)
        status, reason = FAILED, f"{type(error).__name__}: {described(error)}{f' ({place})' if place else ''}"
    return CheckResult(
        item.check.name,
        item.subject.label,
        item.subject.plugin.name,
        item.check.level,
        status,
        reason,
        advice,
        time.perf_counter() - start,
    )


def read_outputs(path: Path) -> StoredOutputs:
    """Stored outputs.

    Raises:
        DataError: the file is missing or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as stored outputs ({' '.join(str(error).split())})"
        ) from None
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise DataError(
            f"{path}: holds no stored outputs; make them with "
            f"{command('check', 'NAME', argument('store', str(path)))}"
        )
    return content


def store_outputs(name: str, path: Path) -> int:
    """Write the outputs that level 2 compares with.

    Returns:
        of how many components.

    Raises:
        ConfigError: nothing of that name is installed, or it has no networks.
        PluginError: a component does not run.
    """
    # This module imports torch, which checks of level 0 must not.
    from pose_core.testing.checks.regression import summarize_outputs

    stored: dict[str, StoredSummaries] = {}
    for subject in subjects(name):
        if (
            not isinstance(subject, ComponentSubject)
            or NETWORK not in subject.kinds
            # Level 2 compares maps and outputs only: a detector gives a list of boxes, in which two of
            # almost equal score may change places.
            or subject.kind == "detector"
        ):
            continue
        try:
            stored[subject.label] = summarize_outputs(subject)
        except NotApplicable:
            continue
        except Exception as error:
            raise PluginError(f"{subject.label} does not run: {' '.join(str(error).split())}") from error
    if not stored:
        raise ConfigError(f"{name} has no backbone, neck or head, so no outputs to store")
    write_whole(path, json.dumps(stored, indent=1) + "\n")
    return len(stored)


def parametrize_with_checks(
    name: str,
    expected_failures: Mapping[str, str] | None = None,
    *,
    levels: Iterable[int] = (0, 1),
    reference: Path | None = None,
    slow: Iterable[str] = (),
) -> Callable[[Item], None]:
    """A test function for pytest, one test for each check of a plugin.

    Args:
        name: of the distribution.
        expected_failures: for checks that cannot be met (``"check_name[kind/component]"``, or
            ``"check_name"`` for those of the plugin itself) the reason. It is an error when one of them is
            met after all, when there is no check of that name, and when a reason is empty.
        levels: of the checks.
        reference: stored outputs, for level 2, which is then added.
        slow: components (``"detector/mynet"``) that are too large for every run of the tests: those of their
            checks that need torch get the marker ``slow``, which your project must know.

    Raises:
        ConfigError: the plugin is not installed, or ``expected_failures`` or ``slow`` name what it does not
            have.
    """
    # 'pose check' uses this module too, and must run where pytest is not installed.
    import pytest

    # Authors copy the name from the source (check_...) or from a report, which leaves the prefix out.
    expected = {key.removeprefix("check_"): reason for key, reason in (expected_failures or {}).items()}
    wanted = {*levels, *({2} if reference is not None else ())}
    outputs = read_outputs(reference) if reference is not None else None
    found = items(name, wanted, outputs)
    known = {item.id for item in found}
    if unknown := sorted(set(expected) - known):
        raise ConfigError(f"expected_failures of {name}: there is no check {', '.join(unknown)}")
    if silent := sorted(key for key, reason in expected.items() if not reason.strip()):
        raise ConfigError(f"expected_failures of {name}: no reason is given for {', '.join(silent)}")

    slow_labels = set(slow)
    if absent := sorted(slow_labels - {item.subject.label for item in found}):
        raise ConfigError(f"slow of {name}: it has no {', '.join(absent)}")

    def parameter(item: Item) -> ParameterSet:
        # Level 0 builds no network, so it is quick for the largest component too.
        late = item.check.level > 0 and item.subject.label in slow_labels
        return pytest.param(item, id=item.id, marks=[pytest.mark.slow] if late else [])

    @pytest.mark.parametrize("item", [parameter(item) for item in found])
    def test(item: Item) -> None:
        """The plugin keeps what plugins promise."""
        outcome = run(item)
        reason = expected.get(item.id)
        if outcome.status == SKIPPED:
            if reason is not None:
                pytest.fail(f"{item.id} is expected to fail ({reason}), but does not apply: {outcome.reason}")
            pytest.skip(outcome.reason)
        if outcome.status == FAILED:
            if reason is not None:
                # Not the mark xfail: with it, the failures above and below would count as expected, too.
                pytest.xfail(reason)
            pytest.fail(f"{item.id}: {outcome.reason}\n{outcome.advice}", pytrace=False)
        if reason is not None:
            pytest.fail(
                f"{item.id} is expected to fail ({reason}), but passes; remove the entry", pytrace=False
            )

    return test
