"""Level 1: schedules of the learning rate."""

from __future__ import annotations

import json
import math

from pose_core.interfaces.schedule import Schedule, ScheduleContext
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject

_STEPS = 200
_CONTEXT = ScheduleContext(lr=1e-3, epochs=10)
# Better, then worse for long: what looks at validations has reason to act.
_VALUES = (3.0, 2.0, *[2.5] * 40)


def _build_schedule(subject: ComponentSubject) -> Schedule:
    made: Schedule = subject.component.factory()(subject.config, _CONTEXT)
    return made


def _list_rates(schedule: Schedule) -> list[float]:
    """The rates from the end of the warm-up on."""
    start = schedule.warmup
    return [schedule.learning_rate(start + (1.0 - start) * step / _STEPS) for step in range(_STEPS + 1)]


@check(1, "schedule")
def check_schedule_gives_rates(subject: ComponentSubject) -> None:
    """From the end of the warm-up to the end all rates are finite, none is negative, and not all are 0."""
    rates = _list_rates(_build_schedule(subject))
    wrong = next((rate for rate in rates if not (math.isfinite(rate) and rate >= 0)), None)
    demand(wrong is None, f"a learning rate is {wrong}")
    demand(any(rates), "all learning rates are 0")


@check(1, "schedule")
def check_schedule_depends_on_progress_only(subject: ComponentSubject) -> None:
    """Asking changes nothing: without a validation in between, the same progress gives the same rate."""
    asked, fresh = _build_schedule(subject), _build_schedule(subject)
    rates = _list_rates(asked)
    # A resumed training asks from the middle on, and one that accumulates batches asks for a step twice.
    demand(_list_rates(asked) == rates, "asked a second time, it gives other learning rates")
    middle = fresh.warmup + (1.0 - fresh.warmup) * (_STEPS // 2) / _STEPS
    demand(
        fresh.learning_rate(middle) == rates[_STEPS // 2], "asked in the middle first, it gives another rate"
    )


@check(1, "schedule")
def check_schedule_resumes(subject: ComponentSubject) -> None:
    """A new one that was given state_dict(), of plain values, goes on exactly as the one that it came from."""
    for stop in (1, 15, 30):
        first, second = _build_schedule(subject), _build_schedule(subject)
        for value in _VALUES[:stop]:
            first.observe(value)
        try:
            # allow_nan: a best value that is not there yet may be infinite.
            state = json.loads(json.dumps(first.state_dict()))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"state_dict() holds what is no plain value: {error}") from None
        second.load_state_dict(state)
        for value in _VALUES[stop:]:
            demand(_list_rates(first) == _list_rates(second), "resumed, it gives other learning rates")
            first.observe(value)
            second.observe(value)
        demand(_list_rates(first) == _list_rates(second), "resumed, it gives other learning rates")


CHECKS = (check_schedule_gives_rates, check_schedule_depends_on_progress_only, check_schedule_resumes)
