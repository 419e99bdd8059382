"""Annotations as a TextGrid of Praat."""

from pathlib import Path
from typing import ClassVar

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.port import Port
from emopipe.stages.lab.annotations import MARKERS, AnnotationFiles, AnnotationSettings
from emopipe.stages.lab.tiers import StreamTiers, annotation_value


class TextGrid(AnnotationFiles):
    """Writes one TextGrid for Praat a stream: a tier for each face, fused and by itself, and one for the voice.

    Where there is no result an interval is empty, as Praat has it. Markers have a tier of points for each sender. Times
    are in seconds, exact to the nanosecond. The file is written when the stream has ended; until then an old one stays.
    """

    name = "textgrid"
    inputs: ClassVar[dict[str, Port]] = {**AnnotationFiles.inputs, "markers": MARKERS}

    class Settings(AnnotationSettings, kw_only=True):
        suffixes = (".TextGrid",)
        library = "praatio"

    settings: Settings

    def write(self, path: Path, stream: str, tiers: StreamTiers) -> None:
        from praatio.data_classes.interval_tier import IntervalTier
        from praatio.data_classes.point_tier import PointTier
        from praatio.data_classes.textgrid import Textgrid

        made = tiers.tiers()
        # A window of speech may end behind the last frame; and Praat takes no grid without a length.
        end = max([tiers.end, MS, *(tier.segments[-1].end for tier in made if tier.segments)])
        grid = Textgrid(0, seconds(end))
        for tier in made:
            entries = [(seconds(each.start), seconds(each.end), annotation_value(each)) for each in tier.segments]
            grid.addTier(IntervalTier(tier.name, entries, 0, seconds(end)))
        for said in tiers.point_tiers(seconds):
            grid.addTier(PointTier(said.name, said.points, 0, seconds(end)))
        # Shortest length: none is joined to its neighbour.
        grid.save(str(path), "long_textgrid", includeBlankSpaces=True, minimumIntervalLength=None)


def seconds(ns: int) -> float:
    """The time in s; 0 in place of the first 0.1 ms, since not every reader of the format knows exponents."""
    return ns / SECOND if ns >= MS // 10 else 0.0
