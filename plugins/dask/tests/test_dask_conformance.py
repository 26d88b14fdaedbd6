"""The plugin keeps what plugins promise: levels 0 and 1 of the conformance checks."""

from pose_core.testing import parametrize_with_checks

test_conformance = parametrize_with_checks("pose-dask")
