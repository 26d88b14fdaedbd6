"""One component by its name or with settings: one function, one kind of message."""

from __future__ import annotations

import pytest

from pose_core.errors import ConfigError
from pose_core.formats.config import ParquetConfig
from pose_core.specs import ReaderConfig, WriterConfig, parse_component


@pytest.mark.parametrize("content", ["parquet", "core/parquet", "{type: parquet}", {"type": "core/parquet"}])
def test_a_component_is_given_by_name_or_with_settings(content: str | dict[str, str]) -> None:
    config = parse_component("writer", WriterConfig, content)
    assert config == ParquetConfig(type="core/parquet")


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("parket", "", "no writer 'parket' is installed; did you mean parquet?"),
        ("parket", "output.format", "output.format: no writer 'parket' is installed; did you mean parquet?"),
        ("{type: parquet, compresion: zstd}", "", "compresion: unknown key"),
        ({"type": "parquet", "x": 1}, "output.format", "output.format.x: unknown key"),
        ("{type: [", "", "is not valid YAML; write {type: NAME, setting: value}"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(
    content: str | dict[str, str], place: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_component("writer", WriterConfig, content, place)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if place:
        assert str(caught.value).startswith(place)


def test_a_component_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no reader 'parquet'"):
        parse_component("reader", ReaderConfig, "parquet")
