"""The core's own formats, offered through the same door as everybody's."""

from pose_core.hooks import PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(namespace="core", summary="The core's own formats", license="BSD-3-Clause", hook_api="1.0")
