"""A reporter that keeps what it is told."""

from __future__ import annotations


class Listener:
    """Collects notes and steps: what, done, total."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, float, float | None]] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        self.steps.append((what, done, total))
