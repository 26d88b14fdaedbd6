"""The core's own formats keep what plugins promise."""

from pose_core.testing import parametrize_with_checks

test_conformance = parametrize_with_checks("pose-core")
