"""The toolkit for authors of heads that make maps (heatmaps, offsets, fields): what two heads need stands
here once.

Layers and their grid, painting of targets, the background to ignore, peaks, sub-pixel refinement, candidates
that another head groups, reading at points.
"""

from pose_core.maps.axes import Entries, repeat_names, stack_axes
from pose_core.maps.candidates import gather_candidates, spread_candidates
from pose_core.maps.grid import deconv_grid, deconv_padding
from pose_core.maps.heads import MapsHead
from pose_core.maps.ignore import (
    animal_boxes,
    ignore_boxes,
    lacking_keypoints,
    mask_background,
    present_animals,
)
from pose_core.maps.layers import Deconvolutions, init_flat, make_deconvolution, prior_bias
from pose_core.maps.painting import GAUSSIAN_SUPPORT, KeypointWindows, paint_maximum, paint_nearest_offsets
from pose_core.maps.peaks import (
    find_local_maxima,
    highest_cell,
    is_local_maximum,
    keep_local_maxima,
    order_by_height,
    top_cells,
    unravel_cells,
)
from pose_core.maps.sampling import normalize_cells, sample_bilinear, sample_normalized, sample_own_map
from pose_core.maps.subpixel import (
    CellWindows,
    Fit,
    average_cells,
    average_offsets,
    find_peaks,
    fit_gaussian,
    fit_parabola,
    refine_peaks,
)

__all__ = [
    "GAUSSIAN_SUPPORT",
    "CellWindows",
    "Deconvolutions",
    "Entries",
    "Fit",
    "KeypointWindows",
    "MapsHead",
    "animal_boxes",
    "average_cells",
    "average_offsets",
    "deconv_grid",
    "deconv_padding",
    "find_local_maxima",
    "find_peaks",
    "fit_gaussian",
    "fit_parabola",
    "gather_candidates",
    "highest_cell",
    "ignore_boxes",
    "init_flat",
    "is_local_maximum",
    "keep_local_maxima",
    "lacking_keypoints",
    "make_deconvolution",
    "mask_background",
    "normalize_cells",
    "order_by_height",
    "paint_maximum",
    "paint_nearest_offsets",
    "present_animals",
    "prior_bias",
    "refine_peaks",
    "repeat_names",
    "sample_bilinear",
    "sample_normalized",
    "sample_own_map",
    "spread_candidates",
    "stack_axes",
    "top_cells",
    "unravel_cells",
]
