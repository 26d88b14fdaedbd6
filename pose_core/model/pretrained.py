"""Locate and fetch the files of weights and networks that plugins name. No torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pose_core.catalog import ZooEntry
from pose_core.errors import argument
from pose_core.hooks import WeightSpec
from pose_core.io.downloads import RemoteFile, obtain
from pose_core.io.hugging_face import locate_file
from pose_core.reporting import current_reporter


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


def locate_network(entry: ZooEntry) -> RemoteFile:
    """Describe the file of a published network. It is kept in the cache, beside weights.

    Raises:
        PluginError: its checksum is none.
    """
    published, name = entry.definition, entry.file_name
    file = locate_file(published.url, f"the network {entry.name}", sha256=published.sha256)
    # Those with a checksum are told apart by it, and are the same file where weights have the same. Of others
    # the name may be that of many files (model.safetensors).
    if not published.sha256 and not name.startswith(published.project):
        name = f"{published.project}_{published.network}-{name}"
    return replace(file, name=name)


def fetch_network(entry: ZooEntry) -> Path:
    """Give the file of a published network, downloaded if need be; its licence is told before.

    Raises:
        DownloadError: it is not there and cannot be downloaded; one line says what to download to where.
        WeightsError: the file that is there is damaged.
        PluginError: its checksum is none.
    """
    file, published = locate_network(entry), entry.definition
    if not any(place.is_file() for place in (file.path, *file.elsewhere)):
        current_reporter().note(
            f"{entry.name}: trained on {published.source}; licence of the weights: {published.license}"
        )
    return obtain(file, "name a run folder")
