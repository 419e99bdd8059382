"""Results as subtitles, which any player shows over the recording."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import emopipe
from emopipe.stages.lab.annotations import AnnotationFiles, AnnotationSettings, milliseconds
from emopipe.stages.lab.tiers import StreamTiers
from emopipe.stages.sinks.findings import verdict

Cue = tuple[int, int, list[str]]  # from and to (ms), its lines


class Subtitles(AnnotationFiles):
    """Writes one file of subtitles a stream, SubRip (.srt) or WebVTT (.vtt): a line for each face, and for the voice.

    Cues do not overlap: one ends where any line changes. A line says what a face expresses with the voice where it is
    heard, and the mean confidence. The file is written when the stream has ended; until then an old one stays.
    """

    name = "subtitles"

    class Settings(AnnotationSettings, kw_only=True):
        suffixes = (".srt", ".vtt")

    settings: Settings

    def write(self, path: Path, stream: str, tiers: StreamTiers) -> None:
        made = list(cues(tiers))
        text = vtt(made) if self.settings.path.endswith(".vtt") else srt(made)
        path.write_text(text, encoding="utf-8", newline="\n")


def cues(tiers: StreamTiers) -> Iterator[Cue]:
    """The cues in order."""
    spans = [
        (milliseconds(segment.start), milliseconds(segment.end), number, f"{tier.participant}: {text}")
        for number, tier in enumerate(tiers.tiers())
        if tier.name != tier.participant or tier.participant == "voice"  # not what a face says by itself
        for segment in tier.segments
        for text in [verdict(segment.emotion, segment.confidence, segment.uncertain)]
    ]
    spans.sort()
    times = sorted({time for start, end, *_ in spans for time in (start, end)})
    shown: list[tuple[int, int, str]] = []  # until when, the number of the tier, what
    waiting = iter([*spans, (times[-1] + 1 if times else 0, 0, 0, "")])
    start, end, number, line = next(waiting)
    for time, following in pairwise(times):
        shown = [each for each in shown if each[0] > time]
        while start <= time:
            shown.append((end, number, line))
            start, end, number, line = next(waiting)
        lines = [text for until, _, text in sorted(shown, key=lambda each: each[1]) if until > time]
        if lines:
            yield time, following, lines


def srt(made: list[Cue]) -> str:
    """SubRip."""
    blocks = (
        f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n" + "\n".join(lines) + "\n"
        for number, (start, end, lines) in enumerate(made, 1)
    )
    return "\n".join(blocks)


def vtt(made: list[Cue]) -> str:
    """WebVTT."""
    blocks = (f"{_time(start, '.')} --> {_time(end, '.')}\n" + "\n".join(lines) + "\n" for start, end, lines in made)
    return "\n".join(
        [f"WEBVTT\n\nNOTE emopipe {emopipe.__version__}: what was expressed, not what was felt\n", *blocks]
    )


def _time(ms: int, point: str) -> str:
    """`01:02:03,450`."""
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"
