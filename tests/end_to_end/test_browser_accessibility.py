"""The page in a real browser is for everybody: names, labels, focus, colours, and motion only where it is wanted."""

import pytest
from playwright.async_api import Page as Tab
from playwright.async_api import expect

from emopipe.stages.palette import contrast
from tests.support.browser import CHROMIUM
from tests.support.page_tab import Served, artefact, drive, moment

pytestmark = [
    pytest.mark.slow("drives a browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium"),
]

# What has no name, no label or no focus; and every text with its colours.
AUDIT = """() => {
  const visible = (e) => e.getClientRects().length > 0;
  const named = (e) => (e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()
    || e.getAttribute("aria-labelledby"));
  const controls = [...document.querySelectorAll("button, input, select, a[href], summary, [tabindex='0'], [role=img]")]
    .filter(visible);
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter(visible).map((e) => Number(e.tagName[1]));
  const background = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!colour.endsWith(", 0)") && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const written = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const texts = [...document.querySelectorAll("body *")]
    .filter((e) => visible(e) && !e.closest(".hidden, .skip") && written(e));
  return {
    language: document.documentElement.lang,
    landmarks: ["header", "main", "footer"].map((name) => document.querySelectorAll(name).length),
    unnamed: controls.filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 120)),
    unlabelled: [...document.querySelectorAll("section, nav, [role=group]")].filter(visible)
      .filter((e) => !e.getAttribute("aria-label") && !document.getElementById(e.getAttribute("aria-labelledby")))
      .map((e) => e.outerHTML.slice(0, 120)),
    images: [...document.querySelectorAll("img:not([alt])")].length,
    duplicates: [...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, n, all) => all.indexOf(id) !== n),
    jumps: levels.filter((level, n) => n && level > levels[n - 1] + 1),
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    small: controls.filter((e) => e.matches("button, select") && e.getBoundingClientRect().height < 24).length,
    colours: [...new Map(texts.map((e) => [e.className + e.tagName,
      { of: e.outerHTML.slice(0, 80), text: getComputedStyle(e).color, on: background(e) }])).values()],
  };
}"""


# Where the focus stands, and whether that shows.
FOCUS = """() => {
  const e = document.activeElement;
  const shown = e.matches(".choice input") ? e.nextElementSibling : e;
  return [e.id || e.value || e.textContent.trim(), getComputedStyle(shown).outlineStyle !== "none"];
}"""


def hexadecimal(colour: str) -> str:
    numbers = colour.partition("(")[2].rstrip(")").split(",")[:3]
    return "#" + "".join(f"{round(float(number)):02x}" for number in numbers)


async def audit(tab: Tab) -> None:
    found = await tab.evaluate(AUDIT)
    assert found["language"] == "en"
    assert found["landmarks"] == [1, 1, 1]
    for nothing in ("unnamed", "unlabelled", "duplicates", "jumps"):
        assert found[nothing] == [], nothing
    assert (found["images"], found["small"], found["sideways"]) == (0, 0, 0)
    assert len(found["colours"]) > 10
    for each in found["colours"]:
        assert contrast(hexadecimal(each["text"]), hexadecimal(each["on"])) >= 4.5, each


async def order(tab: Tab, keys: int) -> list[str]:
    """What the tab key goes through, each of it visibly focused."""
    names = []
    for _ in range(keys):
        await tab.keyboard.press("Tab")
        name, shown = await tab.evaluate(FOCUS)
        assert shown, f"the focus on {name} does not show"
        names.append(name)
    return names


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 740)])
def test_the_page_is_for_everybody(scheme: str, width: int, height: int) -> None:
    async def scenario(served: Served) -> None:
        tab = served.tab
        served.take_offers(503, "Full.")
        await served.show()
        await expect(tab.get_by_role("heading", level=1)).to_be_visible()
        await audit(tab)
        await tab.screenshot(path=str(artefact(f"start-{scheme}-{width}.png")), full_page=True)
        assert await order(tab, 4) == ["Skip to the content", "both", "go", "instead"]
        await served.show("/?observe")
        await served.watched()
        await served.send(*(moment(number, uncertain=number % 25 > 15) for number in range(100)))
        await expect(tab.locator("#now")).to_contain_text("face 1")
        await tab.locator("details.details > summary").click()
        await expect(tab.locator("#hops")).to_contain_text("faces")
        await audit(tab)
        await tab.screenshot(path=str(artefact(f"view-{scheme}-{width}.png")), full_page=True)
        await tab.locator("#main").focus()
        assert await order(tab, 5) == ["30 s", "60 s", "pause", "timeline", "How well it runs"]

    drive(scenario, options={"color_scheme": scheme, "viewport": {"width": width, "height": height}})


def test_nothing_moves_for_those_who_want_that() -> None:
    async def scenario(served: Served) -> None:
        await served.show("/?observe")
        await served.watched()
        await served.send(*(moment(number) for number in range(10)))
        await expect(served.tab.locator("#now")).to_contain_text("face 1")
        transition = "() => getComputedStyle(document.querySelector('.bar span')).transitionDuration"
        assert await served.tab.evaluate(transition) == "0s"

    drive(scenario, options={"reduced_motion": "reduce"})
