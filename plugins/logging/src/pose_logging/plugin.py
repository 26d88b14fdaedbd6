"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="logging",
        summary="Where trainings are watched: TensorBoard, Weights & Biases, MLflow, CSV files",
        license="BSD-3-Clause",
        hook_api="1.0",
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    for name, title, summary in (
        ("tensorboard", "TensorBoard", "Event files of TensorBoard in the run folder"),
        ("wandb", "WeightsAndBiases", "A run of Weights & Biases"),
        ("mlflow", "Mlflow", "A run of MLflow, on a server or in a database"),
        ("csv", "Csv", "A table with one row for each validation, where you want it"),
    ):
        yield ComponentSpec(
            "logger",
            name,
            config=f"pose_logging.config:{title}Config",
            factory=f"pose_logging.{name}_logger:{title}Logger",
            summary=summary,
        )
