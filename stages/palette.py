"""The colours of the emotions, the same in a film, in a report and on the page.

Each stands out from white and from near-black alike (WCAG 2.2, 1.4.11: 3 to 1), so that one table serves light and
dark. Nothing is ever told by colour alone: the label stands beside it, and uncertainty is a pattern.
"""

from collections.abc import Iterable

EMOTION = {
    "angry": "#d9482b",
    "disgust": "#6b8e23",
    "fear": "#8b5cd6",
    "happy": "#b57f0a",
    "sad": "#2f7ed8",
    "surprise": "#0f8f8f",
    "neutral": "#7a828c",
}
"""By label of `emopipe.models.labels.FACE`, as `#rrggbb`."""

OTHERS = ("#c2185b", "#00838f", "#8d6e00", "#5e6ad2", "#2e8b57", "#b0553a", "#a24bb3", "#4f7f94")
"""Of labels that are no emotions, in the order of their coming; with more than eight they begin anew."""

COLOURS = EMOTION | {f"other{place}": colour for place, colour in enumerate(OTHERS)}
"""Every colour by its name."""

RGB = tuple[int, int, int]


def rgb(colour: str) -> RGB:
    """`#rrggbb` as three numbers, 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def ink(background: str) -> str:
    """What to write with on `background`: black or white, whichever is easier to read."""
    return max("#000000", "#ffffff", key=lambda colour: contrast(colour, background))


def names(labels: Iterable[str]) -> dict[str, str]:
    """What the colour of each label is called: its own name if it is an emotion, else `other0` and so on."""
    others = [label for label in dict.fromkeys(labels) if label not in EMOTION]
    return {label: label for label in EMOTION} | {
        label: f"other{place % len(OTHERS)}" for place, label in enumerate(others)
    }


def colour_of(label: str, labels: Iterable[str]) -> str:
    """The colour of one of a distribution's `labels`, as `#rrggbb`."""
    return COLOURS[names(labels)[label]]


def css() -> str:
    """The palette as CSS custom properties: `--angry: #…; --on-angry: #…;` and so on, for a rule of `:root`."""
    return " ".join(f"--{name}: {COLOURS[name]}; --on-{name}: {ink(COLOURS[name])};" for name in COLOURS)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
