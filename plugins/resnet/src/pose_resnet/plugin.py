"""What this plugin offers."""

from pose_core.hooks import PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(namespace="resnet", summary="ResNet backbones for pose_core", license="BSD-3-Clause", hook_api="1.0")
