"""A backbone and a neck."""

from torch import nn

from pose_core.interfaces import NO_INSERTS, Backbone, Neck, insert


class ToyNet(Backbone):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.conv = nn.Conv2d(3, config.channels, 3, 4, 1)
        self.norm = nn.BatchNorm2d(config.channels)

    def stage_parts(self):
        return (("conv",), ("norm",))

    def forward(self, images, *, inserts=NO_INSERTS):
        (images,) = insert(inserts, "images", [images])
        return [self.norm(self.conv(images))]


class ToyNeck(Neck):
    def __init__(self, config, context):
        super().__init__(config, context)
        channels = context.features[0].channels
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, features):
        return [self.conv(features[0])]


def convert(state):
    return state
