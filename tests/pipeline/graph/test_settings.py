"""Settings from tables: all problems at once, in words; and the description of settings from the code."""

import math
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from emopipe.pipeline.graph.settings import convert, describe
from emopipe.pipeline.port import Settings, about


class Everything(Settings):
    uri: Annotated[str | list[str], about("what to open")]
    hop: Annotated[float, about("between windows", unit="s", gt=0)] = 0.5
    share: Annotated[float, about("of it", ge=0, le=1)] = 0.25
    below: Annotated[float, about("a half-open range", ge=0, lt=8, unit="px")] = 0
    count: Annotated[int, about("how many", ge=1)] = 3
    on: Annotated[bool, about("or off")] = True
    mode: Annotated[Literal["replay", "live"], about("how")] = "replay"
    label: Annotated[str, about("not empty", min_length=1)] = "x"
    limit: Annotated[float, about("if any", unit="s", gt=0)] | None = None
    size: Annotated[tuple[int, int], about("width, height", unit="px")] = (640, 480)
    weights: Annotated[list[Annotated[float, about("one weight", ge=0)]], about("of each")] = msgspec.field(
        default_factory=list
    )
    names: Annotated[dict[str, int], about("by name")] = msgspec.field(default_factory=dict)


def problem(table: dict[str, Any]) -> tuple[str, str]:
    settings, problems = convert({"uri": "clip.mp4"} | table, Everything)
    assert settings is None
    (only,) = problems
    return only


def test_good_values_become_settings() -> None:
    table = {"uri": ["a", "b"], "hop": 2, "limit": 1.5, "size": [3, 4], "names": {"a": 1}, "weights": [1, 0.5]}
    settings, problems = convert(table, Everything)
    assert problems == []
    assert settings == Everything(uri=["a", "b"], hop=2.0, limit=1.5, size=(3, 4), names={"a": 1}, weights=[1.0, 0.5])
    assert isinstance(settings.hop, float)


@pytest.mark.parametrize(
    ("key", "value", "where", "text"),
    [
        ("share", 1.5, "share", "1.5 is not between 0 and 1"),
        ("share", -1, "share", "-1 is not between 0 and 1"),
        ("hop", "fast", "hop", 'expected a number of seconds, got "fast"'),
        ("hop", 0, "hop", "0 is not above 0 s"),
        ("hop", True, "hop", "expected a number of seconds, got true"),
        ("hop", math.nan, "hop", "expected a finite number, got nan"),
        ("hop", math.inf, "hop", "expected a finite number, got inf"),
        ("hop", {"a": 1}, "hop", "expected a number of seconds, got a table"),
        ("below", 8, "below", "8 is not at least 0 and below 8 px"),
        ("count", 0, "count", "0 is not at least 1"),
        ("count", 1.0, "count", "expected a whole number, got 1"),
        ("count", 2**63, "count", "9223372036854775808 does not fit into 64 bits"),
        ("count", True, "count", "expected a whole number, got true"),
        ("on", 1, "on", "expected true or false, got 1"),
        ("mode", "liv", "mode", 'expected "live" or "replay", got "liv"; did you mean "live"?'),
        ("mode", 3, "mode", 'expected "live" or "replay", got 3'),
        ("label", "", "label", "must not be empty"),
        ("label", 5, "label", "expected text, got 5"),
        ("limit", -1.0, "limit", "-1 is not above 0 s"),
        ("limit", "no", "limit", 'expected a number of seconds, got "no"'),
        ("uri", 3, "uri", "expected text or a list of texts, got 3"),
        ("uri", ["a", 3], "uri[1]", "expected text, got 3"),
        ("size", [1], "size", "expected a list of 2 whole numbers of pixels, got a list"),
        ("size", [1, 2.5], "size[1]", "expected a whole number of pixels, got 2.5"),
        ("weights", [1.0, -2.0], "weights[1]", "-2 is not at least 0"),
        ("names", {"a": "b"}, "names.a", 'expected a whole number, got "b"'),
        ("hopp", 1, "hopp", 'unknown setting; did you mean "hop"?'),
    ],
)
def test_a_wrong_value_is_named_in_words(key: str, value: Any, where: str, text: str) -> None:
    assert problem({key: value}) == (where, text)


def test_all_problems_come_at_once() -> None:
    settings, problems = convert({"hop": 0, "share": 2, "speed": 1}, Everything)
    assert settings is None
    assert [key for key, _ in problems] == ["hop", "share", "speed", "uri"]
    assert ("uri", "missing: what to open") in problems


def test_an_unknown_setting_names_all_where_none_is_near() -> None:
    class Few(Settings):
        hop: float = 0.5

    assert convert({"zzz": 1}, Few)[1] == [("zzz", 'unknown setting; known are "hop"')]
    assert convert({"zzz": 1}, Settings)[1] == [("zzz", "unknown setting; there are none")]
    assert convert({"input": 1}, Few, also=["inputs"])[1] == [("input", 'unknown setting; did you mean "inputs"?')]


def test_a_classes_own_validation_speaks_for_the_whole_table() -> None:
    class Range(Settings):
        low: float = 0.0
        high: float = 1.0

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    assert convert({"low": 2}, Range) == (None, [("", "low is above high")])


def test_settings_describe_themselves() -> None:
    rows = {row.name: row for row in describe(Everything)}
    assert list(rows) == [field.name for field in msgspec.structs.fields(Everything)]
    hop = rows["hop"]
    assert (hop.type, hop.unit, hop.default, hop.range, hop.text) == ("number", "s", "0.5", "> 0", "between windows")
    assert rows["share"].range == "0 … 1"
    assert rows["below"].range == "≥ 0, < 8"
    assert rows["mode"].type == '"live" or "replay"'
    assert rows["mode"].default == '"replay"'
    assert rows["on"].default == "true"
    assert rows["size"].default == "[640, 480]"
    assert rows["limit"].type == "number"
    assert (rows["limit"].default, rows["limit"].unit, rows["limit"].range) == ("not set", "s", "> 0")
    assert (rows["weights"].text, rows["weights"].range) == ("of each", "≥ 0")
    assert rows["names"].default == "{}"
    assert rows["uri"].required
    assert rows["uri"].default == ""
    assert not hop.required


toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.datetimes()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@profile(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*(f.name for f in msgspec.structs.fields(Everything)), "hopp"]), toml_values))
def test_any_table_gives_settings_or_problems(table: dict[str, Any]) -> None:
    settings, problems = convert(table, Everything)
    assert (settings is None) == bool(problems)
    for key, text in problems:
        assert key
        assert text
        assert (key + text).isprintable()
