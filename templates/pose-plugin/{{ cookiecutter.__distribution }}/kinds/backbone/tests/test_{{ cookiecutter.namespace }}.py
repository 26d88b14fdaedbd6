"""The backbone."""

import pytest
import torch
from pose_core.catalog import available_models
from pose_core.interfaces import BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton
from pydantic import TypeAdapter, ValidationError

NAME = "{{ cookiecutter.namespace }}/{{ cookiecutter.namespace }}"


@pytest.mark.parametrize("stages", [2, 3])
def test_the_feature_map_is_what_the_config_declares(stages: int) -> None:
    config = TypeAdapter(AnyBackbone).validate_python({"type": NAME, "channels": 4, "stages": stages})
    network = BuildContext(Skeleton(("nose",))).build("backbone", config)
    (features,) = network(torch.randn(2, 3, 32, 64))
    (declared,) = config.features()
    assert features.shape == (2, declared.channels, 32 // declared.stride, 64 // declared.stride)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValidationError, match="stages"):
        TypeAdapter(AnyBackbone).validate_python({"type": NAME, "stages": 9})


def test_every_method_has_the_backbone() -> None:
    names = set(available_models())
    assert {"{{ cookiecutter.namespace }}_small", "top_down_{{ cookiecutter.namespace }}_small"} <= names
