"""What this plugin offers."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, PluginInfo, WeightSpec, hookimpl
from pose_torchvision.coco import COCO_WEIGHTS

_TORCHVISION = """@misc{torchvision2016,
  title={TorchVision: PyTorch's Computer Vision library},
  author={{TorchVision maintainers and contributors}}, year={2016}, howpublished={https://github.com/pytorch/vision}}"""

_SSD = """@inproceedings{liu2016ssd,
  title={SSD: Single Shot MultiBox Detector},
  author={Liu, Wei and Anguelov, Dragomir and Erhan, Dumitru and Szegedy, Christian and Reed, Scott and Fu, Cheng-Yang
    and Berg, Alexander C.},
  booktitle={European Conference on Computer Vision}, year={2016}}"""

_SSDLITE = """@inproceedings{sandler2018mobilenetv2,
  title={MobileNetV2: Inverted Residuals and Linear Bottlenecks},
  author={Sandler, Mark and Howard, Andrew and Zhu, Menglong and Zhmoginov, Andrey and Chen, Liang-Chieh},
  booktitle={Computer Vision and Pattern Recognition}, year={2018}}"""

_MOBILENET = """@inproceedings{howard2019mobilenetv3,
  title={Searching for MobileNetV3},
  author={Howard, Andrew and Sandler, Mark and Chu, Grace and Chen, Liang-Chieh and Chen, Bo and Tan, Mingxing and
    Wang, Weijun and Zhu, Yukun and Pang, Ruoming and Vasudevan, Vijay and Le, Quoc V. and Adam, Hartwig},
  booktitle={International Conference on Computer Vision}, year={2019}}"""

_FASTER_RCNN = """@inproceedings{ren2015faster,
  title={Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks},
  author={Ren, Shaoqing and He, Kaiming and Girshick, Ross and Sun, Jian},
  booktitle={Advances in Neural Information Processing Systems}, year={2015}}"""

_FPN = """@inproceedings{lin2017feature,
  title={Feature Pyramid Networks for Object Detection},
  author={Lin, Tsung-Yi and Dollár, Piotr and Girshick, Ross and He, Kaiming and Hariharan, Bharath
    and Belongie, Serge},
  booktitle={Computer Vision and Pattern Recognition}, year={2017}}"""

_TRANSFER = """@misc{li2021benchmarking,
  title={Benchmarking Detection Transfer Learning with Vision Transformers},
  author={Li, Yanghao and Xie, Saining and Chen, Xinlei and Dollár, Piotr and He, Kaiming and Girshick, Ross},
  year={2021}, eprint={2111.11429}, archivePrefix={arXiv}}"""


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="torchvision",
        summary="Detectors: SSDLite and Faster R-CNN",
        license="BSD-3-Clause",
        hook_api="1.1",
        citations=(_TORCHVISION,),
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "detector",
        "ssdlite",
        config="pose_torchvision.config:SSDLiteConfig",
        factory="pose_torchvision.ssdlite:SSDLite",
        summary="SSDLite on MobileNetV3-Large: small and quick, also from scratch",
        tags=("coco",),
        citations=(_SSD, _SSDLITE, _MOBILENET),
    )
    yield ComponentSpec(
        "detector",
        "fasterrcnn_mobilenet_v3_large_fpn",
        config="pose_torchvision.config:FasterRCNNMobileNetConfig",
        factory="pose_torchvision.fasterrcnn:FasterRCNNMobileNet",
        summary="Faster R-CNN on MobileNetV3-Large: between the two others",
        tags=("coco",),
        citations=(_FASTER_RCNN, _FPN, _MOBILENET),
    )
    yield ComponentSpec(
        "detector",
        "fasterrcnn_resnet50_fpn_v2",
        config="pose_torchvision.config:FasterRCNNResNet50Config",
        factory="pose_torchvision.fasterrcnn:FasterRCNNResNet50",
        summary="Faster R-CNN on ResNet-50: slow and accurate, for a GPU",
        tags=("coco",),
        citations=(_FASTER_RCNN, _FPN, _TRANSFER),
    )


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    for name, file in COCO_WEIGHTS.items():
        yield WeightSpec(
            f"{name}_coco",
            model=f"torchvision/{name}",
            url=file.url,
            sha256=file.sha256,
            license="BSD-3-Clause",
            source="COCO 2017 (train), by torchvision; classes of animals merged into one",
            converter="pose_torchvision.transfer:coco_detector",
        )
