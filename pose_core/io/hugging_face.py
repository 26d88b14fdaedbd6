"""Files on huggingface.co. No torch."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from pose_core.io.downloads import RemoteFile

_ADDRESS = re.compile(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/main/(.+)")


def hugging_face(repository: str, file: str, what: str, *, sha256: str = "") -> RemoteFile:
    """A file of a repository on huggingface.co (or the mirror ``$HF_ENDPOINT``).

    It is kept under the name of the repository (``resnet18.a1_in1k.safetensors``) where its own says nothing
    (``model.safetensors``, ``pytorch_model.bin``). A copy that huggingface_hub keeps in its cache is used.

    Args:
        repository: ``owner/name``.
        file: its name there.
        what: what messages call it.
        sha256: of the file, or its first digits, where it is published.
    """
    host = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    stem, suffix = PurePosixPath(file).stem, PurePosixPath(file).suffix
    name = (
        f"{PurePosixPath(repository).name}{suffix}"
        # Every repository names its file so; in one folder they would replace each other.
        if stem in ("model", "pytorch_model")
        else PurePosixPath(file).name
    )
    # The same variables and defaults as huggingface_hub, so that its cache is found without importing it.
    home = Path(
        os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    kept = tuple(sorted(snapshots.glob(f"*/{file}"))) if snapshots.is_dir() else ()
    return RemoteFile(
        f"{host.rstrip('/')}/{repository}/resolve/main/{file}", what, name=name, sha256=sha256, elsewhere=kept
    )


def locate_file(url: str, what: str, *, sha256: str = "") -> RemoteFile:
    """Describe the file of an address; one on huggingface.co as :func:`hugging_face` does."""
    if found := _ADDRESS.fullmatch(url):
        return hugging_face(found[1], found[2], what, sha256=sha256)
    return RemoteFile(url, what, sha256=sha256)
