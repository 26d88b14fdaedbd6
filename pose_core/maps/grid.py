"""Shape and grid of transposed convolutions of stride 2."""

from __future__ import annotations

from pose_core.interfaces import Grid


def deconv_padding(kernel: int, padding: str) -> tuple[int, int]:
    """Padding and output padding of a transposed convolution of stride 2.

    Args:
        kernel: its size in cells.
        padding: ``same`` turns n cells into 2n; ``valid`` pads nothing, which gives 2n - 2 + kernel.

    Returns:
        the arguments ``padding`` and ``output_padding`` of ``torch.nn.ConvTranspose2d``.
    """
    if padding == "valid":
        return 0, 0
    return (kernel - 1) // 2, kernel % 2


def deconv_grid(grid: Grid, layers: int, kernel: int, padding: str) -> Grid:
    """Grid of what transposed convolutions of stride 2 put out.

    An impulse in cell i comes out of one layer around cell ``2 i + c`` with ``c = (kernel - 1) / 2 -
    padding``, so output cell o lies where input cell ``(o - c) / 2`` would.

    Args:
        grid: of their input.
        layers: how many follow each other; 0 leaves the grid as it is.
        kernel: size of each in cells.
        padding: ``same`` or ``valid``, as in :func:`deconv_padding`.
    """
    shift = (kernel - 1) / 2 - deconv_padding(kernel, padding)[0]
    for _ in range(layers):
        grid = Grid(stride=grid.stride / 2, offset=grid.offset - shift * grid.stride / 2)
    return grid
