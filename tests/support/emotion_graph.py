"""The graph from pictures, and from a voice where wanted, to a file of results: TOML, for whole runs."""

from pathlib import Path

FACES = {
    "faces": 'use = "face-detection"\ninputs.video = "capture.video"',
    "facial": 'use = "facial-inference"\ninputs.faces = "faces.faces"',
    "fusion": 'use = "fusion"\ninputs.faces = "facial.emotions"',
}
VOICE = {
    "windows": 'use = "speech-windows"\ninputs.audio = "capture.audio"',
    "speech": 'use = "speech-inference"\ninputs.windows = "windows.windows"',
    "fusion": 'inputs.speech = "speech.emotions"',
}
RESULTS = {"results": 'use = "jsonl"\ninputs.emotions = "fusion.emotions"'}


def emotion_graph(path: Path, *, voice: bool = False, pipeline: str = "", more: str = "", **lines: str) -> str:
    """Such a graph.

    Args:
        path: of the results.
        voice: with the stages of a voice besides.
        pipeline: lines of that table.
        more: other tables.
        lines: of each stage's table, by the stage's name: all of `capture`, and of others what is to be added.
    """
    tables = {"capture": ""}
    for part in (FACES, VOICE if voice else {}, RESULTS, {"results": f'path = "{path}"'}, lines):
        for stage, text in part.items():
            tables[stage] = f"{tables.get(stage, '')}{text}\n"
    stages = [f"[stages.{stage}]\n{text}" for stage, text in tables.items()]
    return "\n".join([f"[pipeline]\n{pipeline}\n", *stages, more])
