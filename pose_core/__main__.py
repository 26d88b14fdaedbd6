"""``python -m pose_core`` is the same as ``pose``."""

from pose_core.cli.main import run

if __name__ == "__main__":
    run()
