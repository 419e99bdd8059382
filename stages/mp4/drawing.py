"""A result drawn over its frame: a box and a tag for each face, and a line for the voice."""

from emopipe.stages.mp4.canvas import Canvas, Rect
from emopipe.stages.mp4.lettering import text_mask
from emopipe.stages.palette import RGB, colour_of, ink, rgb
from emopipe.stages.sinks.findings import Finding, findings, geometry_text, verdict
from emopipe.stages.types import Emotions, FaceGeometry

Box = tuple[float, float, float, float]

DARK: RGB = (16, 20, 24)
LIGHT: RGB = (240, 243, 246)
TEXT_SHARE = 0.037  # of the frame's shorter side
MIN_TEXT_PX, MAX_TEXT_PX = 10, 72  # px of text


def draw(canvas: Canvas, emotions: Emotions | None, voice: Finding | None, hears: bool) -> None:
    """Draw a result, where there is one; `voice` is what it expresses now, and `hears` whether it ever was heard."""
    view = canvas.view
    size = round(TEXT_SHARE * min(view.right - view.left, view.bottom - view.top))
    size = min(MAX_TEXT_PX, max(MIN_TEXT_PX, size))
    if emotions is not None:
        faces = zip(emotions.faces, findings(emotions), strict=False)  # the voice's own comes last
        for face, finding in sorted(faces, key=lambda each: each[0].box[2]):
            _draw_face(canvas, finding, face.box, size)
            if isinstance(face.geometry, FaceGeometry):
                _draw_geometry(canvas, face.geometry, face.box, size)
    if hears:
        _draw_voice(canvas, voice, size)


def _draw_face(canvas: Canvas, face: Finding, box: Box, size: int) -> None:
    view = canvas.view
    left, top, width, height = box
    across, down = view.right - view.left, view.bottom - view.top
    outline = Rect(
        view.left + round(left * across),
        view.top + round(top * down),
        view.left + round((left + width) * across),
        view.top + round((top + height) * down),
    ).within(view)
    colour = colour_of(face.emotion, face.probabilities)
    line = max(2, size // 8)
    # A dark line on either side, so that the box is seen on any background.
    _outline(canvas, outline, line + 2 * max(1, line // 2), DARK, dashed=face.uncertain, opacity=0.5)
    _outline(canvas, outline, line, rgb(colour), dashed=face.uncertain)
    text = text_mask(face.text, size)
    if text.shape[1] + size > 0.45 * across:
        text = text_mask(f"{face.emotion}{'?' if face.uncertain else ''}", size)
    tall = text.shape[0] + size // 3
    above = outline.top - tall - line >= view.top
    y = outline.top - tall - line if above else min(outline.top + line, view.bottom - tall)
    x = max(view.left, min(outline.left - line // 2, view.right - text.shape[1] - size))
    tag = Rect(x, y, x + text.shape[1] + size, y + tall)
    if face.uncertain:
        canvas.fill(tag, DARK, 0.72)
        canvas.stamp(x + size // 2, y + size // 6, text, LIGHT)
    else:
        canvas.fill(tag, rgb(colour), 0.94)
        canvas.stamp(x + size // 2, y + size // 6, text, rgb(ink(colour)))


def _draw_geometry(canvas: Canvas, geometry: FaceGeometry, box: Box, size: int) -> None:
    """Where head and eyes point, in words below the box; left out where there is no room."""
    view = canvas.view
    text = text_mask(geometry_text(geometry), max(MIN_TEXT_PX, size * 3 // 4))
    wide, tall = text.shape[1] + size, text.shape[0] + size // 3
    bottom = view.top + round((box[1] + box[3]) * (view.bottom - view.top)) + max(2, size // 8)
    if wide > view.right - view.left or bottom + tall > view.bottom:
        return
    left = view.left + round(box[0] * (view.right - view.left))
    x = max(view.left, min(left, view.right - wide))
    canvas.fill(Rect(x, bottom, x + wide, bottom + tall), DARK, 0.72)
    canvas.stamp(x + size // 2, bottom + size // 6, text, LIGHT)


def _draw_voice(canvas: Canvas, voice: Finding | None, size: int) -> None:
    """A strip at the bottom: the voice's likeliest label, and its whole distribution as a bar."""
    view = canvas.view
    tall = round(size * 1.9)
    strip = Rect(view.left, view.bottom - tall, view.right, view.bottom)
    canvas.fill(strip, DARK, 0.72)
    title = text_mask("voice", size)
    y = strip.top + (tall - title.shape[0]) // 2
    x = view.left + size
    canvas.stamp(x, y, title, (170, 178, 186))
    x += title.shape[1] + size // 2
    if voice is None:
        canvas.stamp(x, y, text_mask("silent", size), (170, 178, 186))
        return
    canvas.stamp(x, y, text_mask(verdict(voice.emotion, voice.confidence, voice.uncertain), size), LIGHT)
    # The bar begins at the same place whatever the text, or it would jump about.
    x += text_mask("surprise 100 %, uncertain", size).shape[1] + size
    width = view.right - size - x
    if width < 4 * size:
        return
    done = 0.0
    for name, part in sorted(voice.probabilities.items(), key=lambda item: -item[1]):
        start, done = done, done + part
        middle, half = (strip.top + strip.bottom) // 2, max(2, size // 3)
        segment = Rect(x + round(start * width), middle - half, x + round(done * width), middle + half)
        canvas.fill(segment, rgb(colour_of(name, voice.probabilities)), 0.5 if voice.uncertain else 1.0)


def _outline(canvas: Canvas, box: Rect, width: int, colour: RGB, *, dashed: bool, opacity: float = 1.0) -> None:
    """The four sides of a box, `width` px wide around its edge."""
    out, within = (width + 1) // 2, width // 2
    left, top, right, bottom = box
    whole = Rect(left - out, top - out, right + out, bottom + out)
    dash = max(4, (right - left) // 12) if dashed else 0
    for first, last in ((whole.top, top + within), (bottom - within, whole.bottom)):
        for start, end in _dashes(whole.left, whole.right, dash):
            canvas.fill(Rect(start, first, end, last), colour, opacity)
    for first, last in ((whole.left, left + within), (right - within, whole.right)):
        for start, end in _dashes(top + within, bottom - within, dash):
            canvas.fill(Rect(first, start, last, end), colour, opacity)


def _dashes(start: int, end: int, dash: int) -> list[tuple[int, int]]:
    if not dash:
        return [(start, end)]
    return [(at, min(at + dash, end)) for at in range(start, end, 2 * dash)]
