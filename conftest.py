"""What holds for every test, of the core and of the plugins: what it draws does not depend on what ran before
it."""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import settings

# The machine may be busy: what is slow is not wrong.
settings.register_profile("pose", deadline=None)
settings.load_profile("pose")

# What is found must not depend on which runtime was faster on a busy machine; tests of the choice itself unset it.
os.environ["POSE_RUNTIME"] = "torch"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    random.seed(0)
    if "torch" in sys.modules:  # a test that imports it first meets its own fixed seed
        sys.modules["torch"].manual_seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
