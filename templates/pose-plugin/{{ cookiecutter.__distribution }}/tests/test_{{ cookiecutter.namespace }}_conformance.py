"""What pose_core asks of every plugin, a test for each check and component."""

from pose_core.testing import parametrize_with_checks

# A check that cannot be passed goes here with the reason: expected_failures={"name of the check": "why"}.
test_conformance = parametrize_with_checks("{{ cookiecutter.__distribution }}")
