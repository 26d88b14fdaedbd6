"""Names of other tools are answered with what is meant, and stand for nothing themselves."""

from __future__ import annotations

import pytest

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError
from pose_core.hooks import FormerName
from pose_core.plugins.definition_checks import MalformedError, check_definitions

FORMER = [f for plugin in get_catalog().plugins for f in plugin.definitions.get("pose_former_names", ())]


@pytest.mark.parametrize(
    ("kind", "name", "tool", "meant"),
    [
        ("model", "BUCTD-hrnet_w32", "DeepLabCut", "ctd_prenet_hrnet_w32 or ctd_coam_w32"),
        ("model", "buctd_hrnet_w32", "DeepLabCut", "ctd_prenet_hrnet_w32 or ctd_coam_w32"),
        ("detector", "fasterrcnn_resnet50_fpn", "DeepLabCut", "fasterrcnn_resnet50_fpn_v2"),
        ("model", "multi_class_topdown", "SLEAP", "top_down_identity_unet"),
    ],
)
def test_a_name_of_another_tool_is_answered_with_what_is_meant(
    kind: str, name: str, tool: str, meant: str
) -> None:
    catalog = get_catalog()
    with pytest.raises(ConfigError) as error:
        catalog.model(name) if kind == "model" else catalog.component(kind, name)
    assert str(error.value) == f"no {kind} {name!r} is installed; in {tool} that is {meant} here"


@pytest.mark.parametrize("former", FORMER, ids=lambda former: former.name)
def test_what_is_meant_is_there_and_the_former_name_is_free(former: FormerName) -> None:
    catalog = get_catalog()
    names = (
        {model.name for model in catalog.models()}
        if former.kind == "model"
        else {component.name for component in catalog.components(former.kind)}
    )
    assert names.issuperset(former.now)
    assert former.name not in names


def test_a_former_name_must_say_what_it_is_called_now() -> None:
    with pytest.raises(MalformedError, match="former name 'old' must say what it is called now"):
        check_definitions({"pose_former_names": (FormerName("old", "model", (), "Tool"),)})
