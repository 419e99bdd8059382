"""What a run has done, all its stages together."""

import msgspec

from emopipe.pipeline.report import Report

KEPT = 200  # warnings from the beginning, and as many of the newest


class Notice(msgspec.Struct):
    """Something a stage told the user; `damage` says that part of the input was lost, `count` how often it was said."""

    stage: str
    text: str
    damage: bool
    count: int = 1


class Outcome(msgspec.Struct):
    """What a run has done, by stage, so far or at its end.

    Attributes:
        reports: by stage.
        warnings: what the stages told the user, each text once: the first `KEPT`, and the newest.
        damaged: whether part of the input was lost.
        forgotten: how many warnings are not in the list any more.
        seconds: from play to the end.
        cpu: ns of processor time since play, by process.
    """

    reports: dict[str, Report] = {}
    warnings: list[Notice] = []
    damaged: bool = False
    forgotten: int = 0
    seconds: float = 0.0
    cpu: dict[str, int] = {}

    def note(self, stage: str, text: str, damage: bool) -> Notice:
        """Keep a warning, or count it where it is kept already."""
        self.damaged |= damage
        for known in self.warnings:
            if (known.stage, known.text) == (stage, text):
                known.count += 1
                return known
        notice = Notice(stage, text, damage)
        self.warnings.append(notice)
        if len(self.warnings) > 2 * KEPT:
            self.forgotten += self.warnings.pop(KEPT).count
        return notice
