"""Fields that the U-Net and the decoder share. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

MAX_STRIDE = 256

Norm = Annotated[
    Literal["batch", "group", "none"], Field(description="Normalisation after each convolution.")
]
Kernel = Annotated[Literal[1, 3, 5, 7], Field(description="Kernel size of the convolutions.")]
Up = Annotated[
    Literal["bilinear", "transposed", "transposed3"],
    Field(
        description="How the decoder doubles the resolution. transposed: a transposed convolution of kernel "
        "2. transposed3: one of kernel 3, with a ReLU, to the channels of the block."
    ),
]
Crop = Annotated[
    Literal["first", "last"],
    Field(
        description="up: transposed3. Which row and column of its 2n + 1 cells a side is left out: first, as "
        "with padding 1 in torch; last, as with padding 'same' in Keras."
    ),
]
Outputs = Annotated[
    tuple[int, ...] | None,
    Field(description="Strides of the output maps, powers of 2, from fine to coarse."),
]


def is_stride(value: int) -> bool:
    """Tell whether a number is a stride: a power of 2, not above :data:`MAX_STRIDE`."""
    # value & (value - 1) is zero only for powers of 2.
    return 1 <= value <= MAX_STRIDE and not value & (value - 1)


def check_outputs(outputs: tuple[int, ...] | None) -> None:
    """Refuse strides of outputs that are none, or not from fine to coarse.

    Raises:
        PydanticCustomError: names the field.
    """
    if outputs is None:
        return
    if not outputs or not all(map(is_stride, outputs)) or list(outputs) != sorted(set(outputs)):
        raise PydanticCustomError(
            "outputs",
            "outputs must be different powers of 2 up to {most} in increasing order, such as [4, 16]",
            {"most": MAX_STRIDE},
        )


def check_crop(up: str, crop: str) -> None:
    """Refuse a ``crop`` that has no effect.

    Raises:
        PydanticCustomError: names the field.
    """
    if crop != "first" and up != "transposed3":
        raise PydanticCustomError(
            "crop", "crop: {crop} is for up: transposed3 only; leave it out", {"crop": crop}
        )
