"""``pose cite``, ``pose licenses`` and ``pose plugins --verbose``: what a configuration or a run uses."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pose_core.catalog.citations import Citation, read_bibliography, read_entries
from pose_core.catalog.distributions import license_of, name_and_version, required_by
from pose_core.errors import PluginError
from pose_core.plugins import ACTIVE, PluginRecord
from pose_core.specs.usage import find_used


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def names(path: Path) -> set[str]:
    return {component.full_name for component in find_used(path).components}


def test_defaults_are_used_too(tmp_path: Path) -> None:
    used = names(write(tmp_path, "model: {name: unet}"))
    assert {"unet/unet", "heatmap/heatmap", "heatmap/gaussian", "heatmap/subpixel", "heatmap/mse"} <= used
    assert "paf/paf" not in used


def test_what_the_file_says_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: unet, heads: {keypoints: {predictor: argmax}}}")
    assert "heatmap/argmax" in names(path)
    assert "heatmap/subpixel" not in names(path)


def test_every_work_is_cited_once(pose: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: top_down_resnet_50}\nstages: {detector: {network: ssdlite}}")
    text = pose("cite", path).stdout
    keys = [line.partition("{")[2].rstrip(",") for line in text.splitlines() if line.startswith("@")]
    assert len(keys) == len(set(keys))
    assert {"pose_core", "he2016resnet", "wu2018groupnorm", "mathis2018deeplabcut", "liu2016ssd"} <= set(keys)
    assert not any("paf" in key or "cao2017" in key for key in keys)
    assert text.count("{") == text.count("}")


CITED = {
    "unet": {"ronneberger2015unet", "pereira2022sleap"},
    "resnet_50": {"he2016resnet", "wightman2021resnet"},
    "hrnet_w32": {"sun2019hrnet", "wang2020hrnet"},
    "cspnext_s": {"lyu2022rtmdet", "jiang2023rtmpose"},
    "convnext_tiny": {"liu2022convnext", "torchvision2016", "ronneberger2015unet"},
    "swin_tiny": {"liu2021swin", "torchvision2016", "ronneberger2015unet"},
    "timm": {"wightman2019timm", "lin2017fpn"},
    "efficientnet_lite0": {"tan2019efficientnet", "wightman2019timm", "lin2017fpn"},
    "top_down_hrnet_w32": {"sun2019hrnet", "xiao2018simple"},
    "dekr_w32": {"geng2021dekr", "sun2019hrnet"},
    "dlcrnet_stride16_ms5": {"lauer2022multi", "cao2017realtime", "he2016resnet", "wightman2019timm"},
    "rtmpose_s": {"jiang2023rtmpose", "li2022simcc", "hua2022gau", "lyu2022rtmdet"},
    "animal_tokenpose_base": {"li2021tokenpose", "dosovitskiy2021vit", "sun2019hrnet"},
    "ctd_prenet_unet": {"zhou2023buctd", "moon2019posefix", "ronneberger2015unet"},
    "ctd_coam_w48_human": {
        "zhou2023buctd",
        "fu2019danet",
        "sun2019hrnet",
        "li2019crowdpose",
        "wightman2019timm",
    },
    "ctd_prenet_rtmpose_s": {"zhou2023buctd", "jiang2023rtmpose", "li2022simcc"},
}
"""For a model of each family the works that must be cited."""


@pytest.mark.parametrize("name", CITED)
def test_each_family_cites_its_works(name: str, tmp_path: Path) -> None:
    entries = find_used(write(tmp_path, f"model: {{name: {name}}}")).citations()
    keys = {entry.partition("{")[2].partition(",")[0] for entry in entries}
    assert CITED[name] <= keys
    assert keys - CITED[name] <= {"insafutdinov2016deepercut", "mathis2018deeplabcut", "guo2011gaussian"} | {
        *("wightman2019timm", "wightman2021resnet", "wu2018groupnorm", "wang2020hrnet", "dai2017deformable"),
        *(
            "wang2020cspnet",
            "he2015spp",
            "pereira2022sleap",
            "moon2019posefix",
            "lyu2022rtmdet",
            "hua2022gau",
        ),
    }


def test_all_families_are_there() -> None:
    from pose_core.catalog import get_catalog

    families = {model.family for model in get_catalog().models()}
    assert {model.family for name in CITED for model in get_catalog().model(name)} == families


def test_a_work_has_one_entry_in_all_plugins() -> None:
    from pose_core.catalog import get_catalog

    entries: dict[str, str] = {}
    for plugin in get_catalog().plugins:
        assert plugin.info is not None
        given = {*plugin.info.citations}
        given |= {
            c for some in plugin.definitions.values() for d in some for c in getattr(d, "citations", ())
        }
        found = read_bibliography(plugin)
        assert given == set(found), (
            f"citations.bib of {plugin.name} has what nothing cites, or lacks something"
        )
        for key, entry in found.items():
            text = " ".join(entry.split())
            assert entries.setdefault(key, text) == text
    assert len(entries) > 30


def test_recipes_and_presets_are_cited() -> None:
    from pose_core.catalog import Catalog
    from pose_core.hooks import BackbonePreset, ModelRecipe

    preset = BackbonePreset("a", "toys", {"type": "toy/a"}, "toy", citations=("a2020",))
    recipe = ModelRecipe("{backbone}", "top_down", "toy", {}, citations=("b2021",))
    definitions = {"pose_backbones": (preset,), "pose_recipes": (recipe,)}
    (model,) = Catalog(
        [PluginRecord("toy", "pose-toy", "1", "toy", ACTIVE, definitions=definitions)]
    ).models()
    assert [(c.plugin.name, c.key) for c in model.citations] == [("toy", "a2020"), ("toy", "b2021")]


@pytest.fixture
def cited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], PluginRecord]:
    """Makes a plugin whose citations.bib says so."""

    def make(text: str) -> PluginRecord:
        folder = tmp_path / "pose_cited"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "plugin.py").write_text("raise AssertionError('it need not be imported again')\n")
        (folder / "citations.bib").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "pose_cited", raising=False)
        return PluginRecord("cited", "pose-cited", "1", "pose_cited.plugin", ACTIVE)

    return make


def test_entries_are_read_with_nested_braces_and_comments(cited: Callable[[str], PluginRecord]) -> None:
    text = "A comment.\n@article{a2020, title={A {Nested {Title}}},\n  year={2020}}\nmore\n@misc { b2021 ,title={B}}"
    found = read_bibliography(cited(text))
    assert found == {
        "a2020": "@article{a2020, title={A {Nested {Title}}},\n  year={2020}}",
        "b2021": "@misc { b2021 ,title={B}}",
    }
    assert read_bibliography(PluginRecord("x", "pose-x", "1", "nowhere_at_all.plugin", ACTIVE)) == {}


def test_an_unknown_key_is_the_plugins_mistake(cited: Callable[[str], PluginRecord]) -> None:
    plugin = cited("@misc{toy2020, title={A}}\n@misc{b2021, title={B}}")
    entries = read_entries(
        [Citation(plugin, "b2021"), Citation(plugin, "toy2020"), Citation(plugin, "b2021")]
    )
    assert list(entries) == ["b2021", "toy2020"]
    with pytest.raises(PluginError) as caught:
        read_entries([Citation(plugin, "toy2021")])
    assert str(caught.value) == (
        "plugin cited cites 'toy2021', which its citations.bib does not have; did you mean toy2020? "
        "(correct it in pose-cited)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@misc{a, title={A}", "does not close the braces of a"),
        ("@misc{title={A}}", "has no entry @kind{key, ...} where it says '@misc{title={A}}'"),
        ("mail me@home.org", "has no entry @kind{key, ...} where it says '@home.org'"),
        ("@misc{a, title={A}}\n@misc{a, title={B}}", "has the entry a twice"),
    ],
)
def test_damaged_bibliographies_are_refused(
    cited: Callable[[str], PluginRecord], text: str, message: str
) -> None:
    with pytest.raises(PluginError, match=re.escape(f"citations.bib of plugin cited {message}")):
        read_bibliography(cited(text))


def test_licences_of_code_and_weights(pose: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: resnet_50}\n")
    rows = json.loads(pose("licenses", path, "--json").stdout)
    assert {"pose-core", "pose-resnet", "pose-heatmap"} == {
        r["name"].split()[0] for r in rows if r["what"] == "code"
    }
    others = {r["name"].split()[0]: r for r in rows if r["what"] == "third party"}
    assert {"torch", "numpy", "timm", "scipy"} <= set(others)
    assert not {name for name in others if name.startswith("pose")}
    assert others["timm"] == {
        "what": "third party",
        "name": f"timm {importlib.metadata.version('timm')}",
        "license": "Apache-2.0",
        "source": "required by pose-resnet",
    }
    assert "tensorboard" not in others, "what an extra wants is not required"
    (weights,) = (r for r in rows if r["what"] == "weights")
    assert (weights["name"], weights["license"]) == ("pretrained weights of resnet/resnet", "Apache-2.0")
    for nothing in (
        "model: {name: resnet_50, backbone: {pretrained: false}}",
        "{model: {name: resnet_50}, train: {weights: none}}",
    ):
        assert not find_used(write(tmp_path, nothing)).weights
    several = "{model: {name: top_down_unet}, train: {weights: none}, stages: {detector: {network: {type: ssdlite}}}}"
    (about,) = find_used(write(tmp_path, several)).weights
    assert about["name"].startswith("torchvision/"), "the detector starts from its own"
    for name, license in (
        ("dlcrnet_stride16_ms5", "Apache-2.0"),
        ("ctd_coam_w32", "MIT"),
        ("hrnet_w48", "MIT"),
    ):
        (about,) = find_used(write(tmp_path, f"model: {{name: {name}}}")).weights
        assert about["license"] == license
        assert "ImageNet" in about["source"]


METADATA = {
    "License-Expression: MIT OR BSD-2-Clause": "MIT OR BSD-2-Clause",
    "License: Apache 2.0": "Apache 2.0",
    "License-Expression: MIT\nLicense: the MIT licence": "MIT",
    "License: Copyright (c) me\n        No more\nClassifier: License :: OSI Approved :: BSD License": "BSD "
    "License",
    "License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License": "MIT License",
    "Classifier: License :: Public Domain\nClassifier: License :: OSI Approved": "Public Domain",
    "Summary: none": "unknown: see its metadata",
}


@pytest.mark.parametrize("lines", METADATA)
def test_the_licence_that_metadata_state(lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "thing_of_somebody-1.0.dist-info"
    folder.mkdir()
    requires = (
        'Requires-Dist: NumPy>=1\nRequires-Dist: x; extra == "y"\nRequires-Dist: z; python_version < "3"'
    )
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: thing-of-somebody\nVersion: 1.0\n{lines}\n{requires}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert license_of("thing-of-somebody") == METADATA[lines]
    assert required_by("thing-of-somebody") == ["numpy"]
    assert name_and_version("thing-of-somebody") == "thing-of-somebody 1.0"


def test_what_is_not_installed_has_no_licence() -> None:
    assert license_of("thing-of-nobody") == "unknown: it is not installed"
    assert required_by("thing-of-nobody") == []
    assert name_and_version("thing-of-nobody") == "thing-of-nobody"


def test_a_run_remembers_what_read_its_data(pose: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: {name: unet/unet, method: single_animal}")
    for about, cited in (
        ({"reader": "coco/coco"}, "lin2014microsoft"),
        ({"imported": {"by": "deeplabcut/deeplabcut"}}, "lauer2022multi"),
    ):
        (tmp_path / "provenance.json").write_text(json.dumps(about))
        assert cited in pose("cite", tmp_path).stdout
    rows = json.loads(pose("licenses", tmp_path, "--json").stdout)
    assert any(r["name"].startswith("pose-deeplabcut") for r in rows)
    assert any(r["name"].startswith("h5py") and r["source"] == "required by pose-deeplabcut" for r in rows)
    (tmp_path / "provenance.json").write_text('{"reader": "lab/lab"}')
    refused = pose.refuses("cite", tmp_path)
    assert "its plugin 'lab' is not installed" in refused
    assert "pip install" not in refused, "a stranger may have registered that name"
    (tmp_path / "provenance.json").write_text('{"imported": 3}')
    assert "provenance.json: damaged" in pose.refuses("cite", tmp_path)


def test_a_run_tells_where_its_weights_came_from(pose: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "stages" / "detector").mkdir(parents=True)
    (run / "config.yaml").write_text("model: {name: unet/unet, method: single_animal}")
    (run / "stages" / "detector" / "config.yaml").write_text(
        "network: {type: torchvision/ssdlite, pretrained: false}"
    )
    about = {"weights": "best", "name": "lab/best", "license": "CC-BY-4.0", "source": "a laboratory"}
    (run / "provenance.json").write_text(json.dumps({"weights": about}))
    rows = json.loads(pose("licenses", run, "--json").stdout)
    assert rows[-1] == {
        "what": "weights",
        "name": "lab/best",
        "license": "CC-BY-4.0",
        "source": "a laboratory",
    }
    assert any(r["name"].startswith("pose-torchvision") for r in rows)
    (run / "provenance.json").write_text("{")
    assert "provenance.json: damaged" in pose.refuses("cite", run)


def test_refusals(pose: Any, tmp_path: Path) -> None:
    assert "not a run folder" in pose.refuses("cite", tmp_path)
    assert "cannot be read" in pose.refuses("licenses", tmp_path / "absent.yaml")
    path = write(tmp_path, "model: {name: unet, backbone: {filters: 0}}")
    assert "backbone.filters" in pose.refuses("cite", path)
    assert "must hold keys and values" in pose.refuses("cite", write(tmp_path, "model: unet"))
    path = write(tmp_path, "model: {backbone: {type: nobody/net}}")
    assert "its plugin 'nobody' is not installed" in pose.refuses("cite", path)


def test_plugins_tell_hooks_and_time(pose: Any) -> None:
    rows = {r["name"]: r for r in json.loads(pose("plugins", "--verbose", "--json").stdout)}
    assert rows["unet"]["hooks"] == {"pose_components": 2, "pose_backbones": 3}
    assert all(r["load_seconds"] > 0 for r in rows.values() if r["status"] == "active")
    assert "backbones 3" in pose("plugins", "--verbose").stdout
    assert "load_seconds" not in json.loads(pose("plugins", "--json").stdout)[0]
