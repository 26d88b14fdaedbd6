"""What this plugin offers. Imported by every `pose` command: no torch here."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, ModelRecipe, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="{{ cookiecutter.namespace }}",
        summary="A head that regresses positions as means over a map",
        license="{{ cookiecutter.license }}",
        hook_api="1.0",
        citations=("sun2018integral",),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    for kind, config, factory, summary in (
        ("head", "IntegralHeadConfig", "head:IntegralHead", "Positions as means over a map"),
        ("target_generator", "IntegralTargetConfig", "codec:IntegralTargets", "Positions, and what is there"),
        ("predictor", "IntegralPredictorConfig", "codec:IntegralPredictor", "Positions and their confidence"),
        ("loss", "HuberConfig", "losses:HuberLoss", "Huber loss"),
    ):
        yield ComponentSpec(
            kind,
            "integral_huber" if kind == "loss" else "integral",
            config=f"{{ cookiecutter.__package }}.config:{config}",
            factory=f"{{ cookiecutter.__package }}.{factory}",
            summary=summary,
        )


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    heads = {"keypoints": {"type": "{{ cookiecutter.namespace }}/integral"}}
    yield ModelRecipe(
        "{backbone}_{{ cookiecutter.namespace }}",
        "single_animal",
        "{backbone}; positions of one animal a frame, regressed",
        {"model": {"heads": heads}},
    )
    yield ModelRecipe(
        "top_down_{backbone}_{{ cookiecutter.namespace }}",
        "top_down",
        "{backbone}; positions of the animal in a crop, regressed",
        {"model": {"preprocess": {"size": [256, 256]}, "heads": heads}},
    )
