"""Every code block of the documentation follows the rule of its kind, and every rule refuses what it
should."""

from __future__ import annotations

import json
import re
from pathlib import Path

import docs_blocks
import pytest
import yaml
from docs_blocks import ROOT, Fault, blocks_of, check
from docs_commands import inline_faults

from pose_core.specs.schema import json_schema

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "changes/*.md",
        "docs/**/*.md",
        "plugins/*/*.md",
        "consumers/*/*.md",
        "templates/**/*.md",
    )
    for page in ROOT.glob(pattern)
)
GUIDES = ("docs/authors/", "templates/")
"""What these name is there when their own tests run them: test_docs_run.py, test_template.py."""


def text_of(page: str) -> str:
    """The text; of a template as it is baked."""
    text = (ROOT / page).read_text(encoding="utf-8")
    names = {"namespace": "toy", "__distribution": "pose-toy", "__package": "pose_toy"}
    return re.sub(r"\{\{ cookiecutter\.(\w+)[^}]*\}\}", lambda found: names.get(found[1], "something"), text)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_follows_its_rule(page: str) -> None:
    text = text_of(page)
    blocks = list(blocks_of(text, page))
    faults = []
    for block in blocks:
        try:
            check(block, blocks, names=not page.startswith(GUIDES))
        except Fault as fault:
            faults.append(str(fault))
    assert [*faults, *inline_faults(text, page)] == []


def test_the_pages_are_all_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/use/train.md", "docs/authors/detector.md"} <= set(PAGES)
    assert sum(page.startswith("plugins/") for page in PAGES) == len(
        list(ROOT.glob("plugins/*/pyproject.toml"))
    )
    assert sum(page.startswith("templates/") for page in PAGES) >= 4


PROJECT = '```yaml title="project.yaml"\nkeypoints: [nose]\n```\n```csv title="labels.csv"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\npose models\n```", "unknown block ''.*give it a title"),
        ("```ruby\nputs 1\n```", "unknown block 'ruby'"),
        ("```sh\npose trian DATA --out RUN\n```", "pose has no command 'trian'"),
        ("```sh\npose train DATA --model unet\n```", "Missing option '--out'"),
        ("```sh\npose train DATA --out RUN --epoch 3\n```", "No such option: --epoch"),
        ("```sh\npose train DATA --out RUN --epochs three\n```", "'--epochs'"),
        ("```sh\npose train DATA OTHER --out RUN\n```", "unexpected extra argument"),
        ("```sh\npose train DATA --out RUN --model unett\n```", "did you mean unet"),
        (
            "```sh\npose train DATA --out RUN --model unet \\\n    --set train.batchsize=4\n```",
            "batchsize: unknown key",
        ),
        ("```sh\npose train DATA --out RUN --detector ssdlit\n```", "no detector 'ssdlit'"),
        ("```sh\npose predict RUN VIDEO --out F --format nope | grep x\n```", "no writer 'nope'"),
        ("```sh\npose import sleep FILE --out RUN\n```", "no importer 'sleep'"),
        ("```sh\nmake everything\n```", "no target everything"),
        ("```sh\npython benchmarks/none.py\n```", "no script benchmarks/none.py"),
        ("```sh\nruns/first: trained\n```", "unknown program"),
        ("```sh\npose show 'unet\n```", "no shell command"),
        ("```yaml\nmodel: {backbone: {filtrs: 8}}\n```", "filtrs: unknown key; did you mean filters"),
        ("```yaml\nmodel: [\n```", "not valid YAML"),
        (
            "```yaml\nstages: {detector: {network: {type: torchvision/ssdlit}}}\n```",
            "no detector 'torchvision/ssdlit'",
        ),
        ('```yaml title="split.yaml"\ntesting: [a.png]\n```', "unknown list 'testing'"),
        ('```yaml title="project.yaml"\nkeypoints: [nose]\n```', "belong together"),
        (PROJECT + "image,individual,keypoint,x,y\na.png,animal,tail,3,4\n```", "tail"),
        ("```csv\na,b\n```", "needs a title"),
        ("```python\nprint(\n```", "line 1 is no Python"),
        ("```python\nestimator.predict(images)\n```", "estimator is neither defined nor imported"),
        ("```python\nfrom pose_core import lode\n```", "pose_core has no lode"),
        ("```python\nimport pose_kore\n```", "cannot import pose_kore"),
        ("```python\nimport pose_core\npose_core.lode(1)\n```", "pose_core has no lode"),
        (
            (
                "```python\nfrom pose_core.hooks import hookimpl\n@hookimpl\ndef pose_backbones():\n    yield "
                "1\n```"
            ),
            "pose_backbones",
        ),
        ("```toml\n[project\n```", "Expected"),
        (
            '```toml\n[project.entry-points."pose.plugins"]\na = "b"\n```',
            "pose_core.plugins, not pose.plugins",
        ),
        ("```text\n$ pose models\n```", "belongs into a block of sh: .*pose models"),
        (
            '```text of="pose models"\nnothing  like this\n```',
            "pose models does not print 'nothing like this'",
        ),
    ],
)
def test_rules_refuse(text: str, message: str) -> None:
    blocks = list(blocks_of(text + "\n", "page.md"))
    with pytest.raises(Fault, match=message) as caught:
        check(blocks[-1], blocks)
    assert re.match(r"page\.md:\d+: [^\n]+$", str(caught.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Type `pose trian DATA`.", "page.md:1: `pose trian DATA`: pose has no command 'trian'"),
        ("\n`pose models [--jsn]`", "page.md:2: `pose models [--jsn]`: there is no option --jsn"),
        ("`--sett a=b`", "page.md:1: `--sett a=b`: there is no option --sett"),
    ],
)
def test_commands_within_the_text_are_looked_at(text: str, message: str) -> None:
    assert list(inline_faults(text, "page.md")) == [message]


def test_blocks_of_lists_and_of_lines_that_go_on() -> None:
    text = 'a\n\n  ```sh fails="no"\n  pose train A \\\n      --out B  # why\n  ```\n'
    (block,) = blocks_of(text, "page.md")
    assert (block.where, block.language, block.fails) == ("page.md:3", "sh", "no")
    assert list(docs_blocks.commands(block.body)) == [["pose", "train", "A", "--out", "B"]]
    piped = "pose models | grep unet && pip install x > log\n"
    assert list(docs_blocks.commands(piped)) == [
        ["pose", "models"],
        ["grep", "unet"],
        ["pip", "install", "x"],
    ]


def test_as_a_program_it_names_the_faults_of_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("```sh\npose models\n```\n")
    bad.write_text("```sh\npose model\n```\n")
    assert docs_blocks.main([str(good)]) == 0
    assert docs_blocks.main([str(good), str(bad)]) == 1
    assert "bad.md:1: pose has no command 'model'" in capsys.readouterr().out


def test_editors_accept_what_the_docs_say_and_mark_mistakes() -> None:
    import jsonschema

    schema = json.loads(json.dumps(json_schema()))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    tried = 0
    for page in PAGES:
        for block in blocks_of(text_of(page), page):
            if block.language == "yaml" and block.title in ("", "lab.yaml") and not page.startswith(GUIDES):
                assert [e.message for e in validator.iter_errors(yaml.safe_load(block.body))] == [], (
                    block.where
                )
                tried += 1
    assert tried > 10
    for right in (
        {"model": {"backbone": "unet"}},
        {"model": {"heads": {"identity": None, "keypoints": {"losses": {"locref": {"weight": 0.5}}}}}},
        {"model": {"backbone": {"backbone": {"width": 48}}}},
    ):
        assert validator.is_valid(right), right
    for wrong in (
        {"train": {"epoch": 3}},
        {"model": {"backbone": {"filtrs": 8}}},
        {"model": {"backbone": {"type": "unet/unet", "width": 32}}},
        {"model": {"backbone": {"filters": "many"}}},
        {"model": {"heads": {"keypoints": {"losses": {"locref": {"wight": 0.5}}}}}},
    ):
        assert not validator.is_valid(wrong), wrong
    assert schema["title"] == "pose_core configuration"
