"""``pose export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import MovedProject, RunFolder, Snapshot


def export(
    run: RunFolder,
    to: Annotated[
        str,
        typer.Option(metavar="NAME", help="Kind of file; 'pose exporters' lists them.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the export; made if needed.", show_default=False)
    ],
    data: MovedProject = None,
    snapshot: Snapshot = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting of the exporter; may be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an export that is in the folder.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print contract and proof as JSON.")] = False,
) -> None:
    """Export a trained model for programs without pose_core.

    The folder holds the network in a file, a contract that says how to use it, an example with its answer, and the
    proof: keypoints of the file beside those of the network, on validation images of the run; of a detector boxes.
    """
    from pose_core.cli.tables import print_json, print_table
    from pose_core.escapes import escape_line
    from pose_core.exporting.export_run import Exported
    from pose_core.exporting.export_run import export as export_run
    from pose_core.exporting.proof import describe
    from pose_core.reporting import current_reporter
    from pose_core.specs.resolve import parse_assignments

    made = export_run(
        run,
        to,
        out,
        data=data,
        snapshot=snapshot,
        settings=parse_assignments(assignments or []).content,
        overwrite=overwrite,
    )

    def as_json(one: Exported) -> dict[str, object]:
        below = {name: as_json(stage) for name, stage in one.stages.items()}
        return {"folder": str(one.folder), "contract": one.contract, "proof": one.proof, "stages": below}

    if json:
        print_json(as_json(made))
        return
    for each in (made, *made.stages.values()):
        print_table(describe(each.proof), ("keypoint", "compared", "mean px", "largest px"))
        images = each.proof["images"]
        print(
            f"largest difference {each.proof['largest']:.5f} px (at most {each.proof['limit']}) on {images['used']} "
            f"{images['of']} images"
        )
    for sentence in made.contract["outside"]:
        current_reporter().note(f"not in the file: {sentence}")
    use = ""
    network = made.contract["network"]
    # What pose-run takes.
    whole = network["decoding"] == "inside" and len(network["inputs"]) == 1
    alone = whole and made.contract["finds"] == "poses"
    if alone and network["file"].endswith(".onnx"):
        use = f"; next: pose-run {escape_line(out)} VIDEO --out FILE.csv"
    print(f"{escape_line(out)}: exported{use}")
