"""The catalogue of names: components, models and weights of installed plugins; and what to say of names that are
not there.

No torch, and nothing that a name stands for is imported before it is used.
"""

from pose_core.catalog.catalog import (
    Catalog,
    available_detectors,
    available_models,
    get_catalog,
)
from pose_core.catalog.composition import Model
from pose_core.catalog.install_hints import find_missing_package
from pose_core.catalog.offered import Component, Weights
from pose_core.catalog.zoo import ZooEntry

__all__ = [
    "Catalog",
    "Component",
    "Model",
    "Weights",
    "ZooEntry",
    "available_detectors",
    "available_models",
    "find_missing_package",
    "get_catalog",
]
