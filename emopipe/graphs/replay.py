"""Graphs made for recordings: their source becomes a file capture, and their consoles become the result files."""

from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import Layout
from emopipe.stages.sinks.stream_paths import STREAM_SLOT

SINKS = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".eaf": "eaf",
    ".TextGrid": "textgrid",
    ".srt": "subtitles",
    ".vtt": "subtitles",
    ".mp4": "overlay",
    ".html": "report",
}
"""The stage that writes a result file, by the ending of its name."""

FILE_EACH = {"overlay": "film", "eaf": "file", "textgrid": "file", "subtitles": "file"}
"""The stages that write one file for each recording, and what that is called."""

LAYOUT: Layout = "auto"  # of a replay, where the graph says nothing about it
NAMED = 3  # recordings that a report's title names
NOTE = "A replay by emopipe: every picture and every moment of sound that could be decoded was looked at."


def replay_table(
    table: dict[str, Any], files: list[str], outs: list[Path], *, realtime: bool, page: bool = False
) -> dict[str, Any]:
    """A graph's table with its source replaced by `files`, its consoles by `outs`, and with a page where wanted.

    Raises:
        EmopipeError: the graph has no single source, or a result file is of an unknown kind.
    """
    stages = table.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        return table  # whoever loads it says what is wrong
    sources = [name for name, stage in stages.items() if "inputs" not in stage]
    if len(sources) != 1:
        raise EmopipeError(f"a graph to replay through needs one source to put the recordings in, not {len(sources)}")
    process = {key: value for key, value in stages[sources[0]].items() if key == "process"}
    stages[sources[0]] = {"use": "file-capture", "uri": files, "realtime": realtime, **process}
    inputs = results_for(stages, files, outs, f"{sources[0]}.video")
    if page and not any(stage.get("use") == "page" for stage in stages.values()):
        # The recording waits for its viewer: a short one would be over before the browser is open.
        stages["page"] = {"use": "page", "inputs": {**inputs, "video": f"{sources[0]}.video"}, "viewers": 1}
    if isinstance(pipeline := table.setdefault("pipeline", {}), dict):
        pipeline |= {"layout": LAYOUT, **pipeline, "name": "replay", "mode": "replay"}
    return table


def results_for(stages: dict[str, Any], files: list[str], outs: list[Path], video: str) -> dict[str, Any]:
    """Let the stages `out0`, `out1`, … write the files `outs` in the place of the consoles; what feeds them.

    Raises:
        EmopipeError: a result file is of an unknown kind.
    """
    consoles = [name for name, stage in stages.items() if stage.get("use") == "console"]
    shown = stages[consoles[0]].get("inputs") if consoles else None
    inputs = shown if isinstance(shown, dict) else {"emotions": "fusion.emotions"}
    for name in consoles:
        del stages[name]
    for number, out in enumerate(outs):
        stages[f"out{number}"] = _sink(out, files, inputs, video)
    return inputs


def keep_results(table: dict[str, Any], out: Path) -> bool:
    """Let a graph that shows a replay's results on a console write them to `out` too; whether it is one."""
    stages, pipeline = table.get("stages"), table.get("pipeline")
    if not isinstance(stages, dict) or not isinstance(pipeline, dict) or pipeline.get("mode") != "replay":
        return False
    for name, stage in stages.items():
        if isinstance(stage, dict) and stage.get("use") == "console" and isinstance(stage.get("inputs"), dict):
            kept = stages[f"{name}-results"] = {"use": "jsonl", "path": str(out), "inputs": stage["inputs"]}
            if "process" in stage or pipeline.get("layout") != "auto":  # which would not have the console move else
                kept["process"] = stage.get("process", name)
            return True
    return False


def _sink(out: Path, files: list[str], inputs: dict[str, Any], video: str) -> dict[str, Any]:
    """The table of the stage that writes `out`; `inputs` bring the results, `video` the pictures that belong to them.

    Raises:
        EmopipeError: its kind is unknown, or several recordings would share what is for one.
    """
    use = SINKS.get(out.suffix)
    if use is None:
        *others, last = SINKS
        raise EmopipeError(f"--out {out}: expected a name that ends in {', '.join(others)} or {last}")
    table: dict[str, Any] = {"use": use, "path": str(out), "inputs": inputs}
    if use in FILE_EACH and len(files) > 1 and STREAM_SLOT not in out.name:
        raise EmopipeError(
            f"--out {out}: {len(files)} recordings need a {FILE_EACH[use]} each; put {STREAM_SLOT} into its name, "
            f"which stands for the recording's: {out.with_stem(f'{out.stem}-{STREAM_SLOT}')}"
        )
    if use == "eaf":
        table["media"] = [file for file in files if not file.endswith(".mcap")]  # messages are nothing to look at
    elif use == "overlay":
        table |= {"inputs": {**inputs, "video": video}, "sound": files}
    elif use == "report":
        names = ", ".join(Path(file).name for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        title = f"What was expressed in {names}{more}"
        table |= {"inputs": {**inputs, "video": video}, "title": title, "notes": [NOTE]}
    return table
