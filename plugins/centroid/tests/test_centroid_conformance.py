"""The plugin keeps what plugins promise: levels 0 and 1 of the conformance checks, and the outputs that were
stored."""

from pathlib import Path

from pose_core.testing import parametrize_with_checks

# Made anew, when a change of the outputs is wanted, by 'pose check pose-centroid --store' and this file.
STORED = Path(__file__).with_name("reference_outputs.json")

test_conformance = parametrize_with_checks("pose-centroid", reference=STORED)
