"""What this plugin offers. Imported by every `pose` command: no torch here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl

_CENTRES = """@misc{zhou2019objects,
  title={Objects as Points},
  author={Zhou, Xingyi and Wang, Dequan and Kr{\\"a}henb{\\"u}hl, Philipp}, year={2019},
  howpublished={arXiv:1904.07850}}"""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="A small detector that finds centres",
        license="{{ cookiecutter.license }}",
        hook_api="1.3",
        citations=(_CENTRES,),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "detector",
        "{{ cookiecutter.namespace }}",
        config="{{ cookiecutter.__package }}.config:DetectorSettings",
        factory="{{ cookiecutter.__package }}.network:CentreDetector",
        summary="Centres of animals and the way to the sides of their boxes",
    )
