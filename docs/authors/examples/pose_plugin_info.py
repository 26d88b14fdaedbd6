from pose_core.hooks import PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="toy",
        summary="One line for 'pose plugins'",
        license="MIT",
        hook_api="1.3",
        citations=('@misc{toy2026, title = "A toy", author = "A Stranger", year = "2026"}',),
    )
