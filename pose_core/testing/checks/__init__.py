"""The conformance checks, a file for each group; :mod:`pose_core.testing.conformance` runs them.

Checks of one kind of component are found by the row of the kind (:mod:`pose_core.kinds`). Those of level 0
need no torch: ``checks_of_level_0`` alone imports none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from pose_core.catalog.kinds import InstalledKind
from pose_core.testing.checks import configs, definitions, packaging
from pose_core.testing.checks.check import Check, NotApplicable

__all__ = ["Check", "NotApplicable", "checks_of_level_0", "every_check"]

Kinds = Mapping[str, InstalledKind]


def checks_of_level_0(kinds: Kinds) -> tuple[Check, ...]:
    """List the checks that need no torch."""
    modules = [(kind, module) for kind in kinds.values() for module in kind.row.config_checks]
    return (*definitions.CHECKS, *configs.CHECKS, *packaging.CHECKS, *_load(modules))


def every_check(kinds: Kinds) -> tuple[Check, ...]:
    """List the checks of all levels. Imports torch."""
    # Not at the top: these modules import torch, and 'pose check' at level 0 must stay as quick as a
    # listing.
    from pose_core.testing.checks import components, devices, models, networks, regression

    modules = [(kind, module) for kind in kinds.values() for module in kind.row.checks]
    return (
        *checks_of_level_0(kinds),
        *components.CHECKS,
        *networks.CHECKS,
        *_load(modules),
        *models.CHECKS,
        *regression.CHECKS,
        *devices.CHECKS,
    )


def _load(modules: Iterable[tuple[InstalledKind, str]]) -> list[Check]:
    """Import the checks of these modules."""
    found: dict[str, InstalledKind] = {}
    for kind, module in modules:
        # Kinds may share a module (readers, writers and importers do), but a check belongs in the list once.
        found.setdefault(module, kind)
    return [cast("Check", check) for module, kind in found.items() for check in kind.load_checks(module)]
