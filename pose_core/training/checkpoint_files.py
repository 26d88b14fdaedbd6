"""Write and read Lightning's checkpoints as plain files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO


class LocalCheckpoints(CheckpointIO):
    """Take a checkpoint's path for nothing but a path.

    Lightning's own reads addresses of other file systems into some paths (``a::b``), and writes by way of the
    system's folder for temporary files, which may be full or of another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; a full disk raises OSError."""
        # By way of memory: torch would report a full disk as an error of its own, without the reason.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with Path(path).open("wb") as file:
            file.write(content.getbuffer())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint into memory of the host."""
        with Path(path).open("rb") as file:
            content: dict[str, Any] = torch.load(
                file, map_location=map_location or "cpu", weights_only=bool(weights_only)
            )
        return content

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        Path(path).unlink(missing_ok=True)
