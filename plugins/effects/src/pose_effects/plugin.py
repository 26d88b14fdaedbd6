"""What this plugin offers."""

from collections.abc import Iterator

from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl

_TRANSFORMS = (
    ("equalize", "pixels", "Equalize", "Histogram equalisation of the whole image"),
    ("clahe", "pixels", "Clahe", "Histogram equalisation of parts of the image (CLAHE)"),
    ("gray", "pixels", "Gray", "Less colour, down to gray"),
    ("hue_saturation", "pixels", "HueSaturation", "Another hue and saturation"),
    ("gamma", "pixels", "Gamma", "Darker or brighter middle tones"),
    ("jpeg", "pixels", "Jpeg", "Traces of JPEG compression"),
    ("elastic", "elastic", "Elastic", "Elastic deformation; keypoints and boxes are moved with the pixels"),
    ("isolate", "isolate", "Isolate", "Black around the boxes of animals: crops without context"),
    ("copy_paste", "copy_paste", "CopyPaste", "Animals of other training images, put into this one"),
)


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="effects",
        summary="Random changes of training images: elastic, equalisation, colours, copy-paste",
        license="BSD-3-Clause",
        hook_api="1.0",
        citations=("simard2003best", "zuiderveld1994contrast", "ghiasi2021simple"),
    )


@hookimpl
def pose_components() -> Iterator[ComponentSpec]:
    for name, module, title, summary in _TRANSFORMS:
        yield ComponentSpec(
            "transform",
            name,
            config=f"pose_effects.config:{title}Config",
            factory=f"pose_effects.{module}:{title}",
            summary=summary,
        )
