"""Charts of benchmarks: bars on a scale for each unit, with their content as text."""

import xml.etree.ElementTree as ET

from benchmarks.chart import Bar, bar_chart

SVG = "{http://www.w3.org/2000/svg}"


def widths(picture: str) -> list[float]:
    """Of the bars, without the card behind them."""
    return [float(each.get("width", 0)) for each in ET.fromstring(picture).iter(f"{SVG}rect")][1:]


def test_bars_of_a_unit_share_a_scale() -> None:
    bars = [Bar("a", 50, 40, 100, "ms"), Bar("b", 100, 100, 100, "ms"), Bar("c", 3, 3, 3, "s")]
    first, second, third = widths(bar_chart("Times", bars, "today"))
    assert second == 2 * first
    assert third == second


def test_nothing_takes_no_room_and_a_title_is_text() -> None:
    picture = bar_chart("<fast> & slow", [Bar("a", 0, 0, 0)], "today")
    assert widths(picture) == [0]
    root = ET.fromstring(picture)
    assert root.findtext(f"{SVG}title") == "<fast> & slow"
    assert root.findtext(f"{SVG}desc") == "a: 0 (0 – 0)"


def test_a_target_is_on_the_scale() -> None:
    (bar,) = widths(bar_chart("Share", [Bar("a", 0.5, 0.5, 0.5, target=1.0)], "today"))
    (alone,) = widths(bar_chart("Share", [Bar("a", 0.5, 0.5, 0.5)], "today"))
    assert bar == alone / 2
