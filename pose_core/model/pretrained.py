"""Locate and fetch the files of weights that plugins name. No torch."""

from __future__ import annotations

from pathlib import Path

from pose_core.errors import argument
from pose_core.hooks import WeightSpec
from pose_core.io.downloads import RemoteFile, obtain


def remote_file(spec: WeightSpec) -> RemoteFile:
    """Describe the file of some weights.

    It is kept in the cache as ``weights/<first digits of sha256>-<file name>``.

    Raises:
        PluginError: the spec's checksum is none.
    """
    return RemoteFile(spec.url, f"the weights {spec.name}", sha256=spec.sha256)


def fetch(spec: WeightSpec) -> Path:
    """Give the file of some weights, downloaded if need be.

    Its checksum is compared each time.

    Raises:
        DownloadError: it is not there and cannot be downloaded; one line says what to download to where.
        WeightsError: the file that is there is damaged.
        PluginError: the spec's checksum is none.
    """
    return obtain(remote_file(spec), f"use {argument('weights', 'none')}")
