"""Importer: a trained model of another tool -> what a run folder is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from pose_core.errors import PluginError, RunError
from pose_core.specs import ImporterConfig
from pose_core.structures import ProjectSplit


@dataclass(frozen=True, eq=False)
class ImportedNetwork:
    """A network and its weights.

    Attributes:
        spec: the partial spec: ``skeleton``, ``data``, ``model`` ... for a pose network (or one of centres);
            ``network`` for a detector. What it leaves out gets the defaults.
        weights: the whole ``state_dict``: ``backbone...``, ``neck...`` and ``heads.<name>...`` for a pose
            network; under the names that the component itself has for a detector.
        source: the file it came from.
    """

    # Plain values and not a RunSpec: the importer leaves open what the project decides.
    spec: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    source: Path


@dataclass(frozen=True, eq=False)
class Imported:
    """Result of an importer.

    Attributes:
        network: the pose network; or a detector, where the file holds nothing else.
        stages: the networks that it builds on, by the names of the suppliers that use them: ``detector``,
            ``centroid`` or one of a plugin.
        notes: one line for each thing the user should know (what differs from the original by design ...).
        provenance: what is worth keeping about its origin; plain values, stored in the run.
        split: the images that it was trained on and those that were held out, by the names that the reader of
            the labelled project gives them; None where the files do not say. ``pose evaluate`` measures on the
            test images, and tells which of others were trained on.
        image_sizes: (width, height) in pixels of frames that it was trained on, where the files say it;
            ``pose predict`` says where a video is of another size.
    """

    network: ImportedNetwork
    stages: Mapping[str, ImportedNetwork] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    split: ProjectSplit | None = None
    image_sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class ImportedTraining:
    """Settings of a training, as a start for one here.

    Attributes:
        content: what a configuration file for ``pose train --config`` says: ``data``, ``model``, ``train`` ...
        notes: one line for each setting that is not taken over, and for what differs.
    """

    content: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Importer(ABC):
    """Reads trained models of another tool. Made as ``factory(config)``. Never runs code from a file."""

    def __init__(self, config: ImporterConfig) -> None:
        self.config = config

    @abstractmethod
    def read(
        self,
        snapshot: Path,
        config: Path | None = None,
        detector: Path | None = None,
        data: Path | None = None,
    ) -> Imported:
        """Read a trained model.

        Args:
            snapshot: file of weights, or the folder that holds them and their description.
            config: file that describes the model; found beside the snapshot by default. For a file that a zoo
                publishes (:class:`pose_core.hooks.ZooNetwork`) it holds the description of its row.
            detector: file of weights (or folder) of the network that finds the animals of a top-down model.
            data: the labelled project that the model was trained on; found from the other files by default,
                where that is possible.

        Raises:
            RunError: a file cannot be used; the message names it and says what to do. Weights that are
                missing or left over are listed.
        """

    def read_training(self, config: Path, data: Path | None = None) -> ImportedTraining:
        """Read what a training of that tool was set to, without any weights; by default refused.

        Args:
            config: the file with the settings.
            data: the labelled project; by default as the file says.

        Raises:
            RunError: the file cannot be used, or this tool's settings are not read.
        """
        raise RunError(
            f"{config}: {self.config.type} reads trained models, not the settings of a training; name a model"
        )

    def mapping(self, kind: str, name: str) -> Callable[..., Any]:
        """Find what a plugin yields under a kind that this importer opened (``namespace/kind``).

        Raises:
            ConfigError: no plugin offers that name; the message lists those that are offered.
            PluginError: a plugin that it ``requires`` is not there, and the message says which to install; or
                its factory does not exist.
        """
        from pose_core.catalog import get_catalog

        catalog = get_catalog()
        component = catalog.component(kind, name)
        # Asked before the factory is imported, which would fail with a bare ImportError.
        if missing := catalog.advice_on_requirements(component):
            raise PluginError(missing)
        return component.factory()
