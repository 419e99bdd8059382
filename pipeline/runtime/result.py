"""What a run has done, all its stages together."""

import msgspec

from emopipe.pipeline.report import Report

KEPT_WARNINGS = 200  # warnings from the beginning, and as many of the newest


class RunWarning(msgspec.Struct):
    """Something a stage told the user; `damage` says that part of the input was lost, `count` how often it was said."""

    stage: str
    text: str
    damage: bool
    count: int = 1


class RunResult(msgspec.Struct):
    """What a run has done, by stage, so far or at its end.

    Attributes:
        reports: by stage.
        warnings: what the stages told the user, each text once: the first `KEPT_WARNINGS`, and the newest.
        damaged: whether part of the input was lost.
        forgotten: how many warnings are not in the list any more.
        seconds: from play to the end.
        cpu: ns of processor time since play, by process.
    """

    reports: dict[str, Report] = {}
    warnings: list[RunWarning] = []
    damaged: bool = False
    forgotten: int = 0
    seconds: float = 0.0
    cpu: dict[str, int] = {}

    def add_warning(self, stage: str, text: str, damage: bool) -> RunWarning:
        """Keep a warning, or count it where it is kept already."""
        self.damaged |= damage
        for known in self.warnings:
            if (known.stage, known.text) == (stage, text):
                known.count += 1
                return known
        warning = RunWarning(stage, text, damage)
        self.warnings.append(warning)
        if len(self.warnings) > 2 * KEPT_WARNINGS:
            self.forgotten += self.warnings.pop(KEPT_WARNINGS).count
        return warning
