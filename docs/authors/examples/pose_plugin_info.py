from pose_core.hooks import PluginInfo, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="toy",
        summary="One line for 'pose plugins'",
        license="MIT",
        hook_api="1.0",
        citations=("stranger2026toy",),  # the key of an entry in citations.bib, beside this module
    )
