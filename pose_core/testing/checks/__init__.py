"""The conformance checks, a file for each group; :mod:`pose_core.testing.conformance` runs them.

Those of level 0 need no torch: ``checks_of_level_0`` alone imports none.
"""

from __future__ import annotations

from functools import cache

from pose_core.testing.checks import configs, definitions, packaging
from pose_core.testing.checks.check import Check, NotApplicable

__all__ = ["Check", "NotApplicable", "checks_of_level_0", "every_check"]


def checks_of_level_0() -> tuple[Check, ...]:
    """The checks that need no torch."""
    return (*definitions.CHECKS, *configs.CHECKS, *packaging.CHECKS)


@cache
def every_check() -> tuple[Check, ...]:
    """The checks of all levels. Imports torch."""
    from pose_core.testing.checks import around, codecs, devices, formats, inserts, losses, networks, regression

    return (
        *checks_of_level_0(),
        *networks.CHECKS,
        *inserts.CHECKS,
        *codecs.CHECKS,
        *losses.CHECKS,
        *around.CHECKS,
        *formats.CHECKS,
        *regression.CHECKS,
        *devices.CHECKS,
    )
