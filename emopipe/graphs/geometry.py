"""Graphs with the faces' geometry: the stage that measures it, put between detection and inference."""

from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import EmopipeError

STAGE = "geometry"  # how it is called
MESSAGES = ".mcap"


def with_geometry(table: dict[str, Any], files: list[str]) -> dict[str, Any]:
    """A graph's table in which the faces that inference sees have been measured, and tables have columns for it.

    Raises:
        EmopipeError: nothing in the graph finds faces in pictures, or the recordings hold none.
    """
    if messages := [file for file in files if Path(file).suffix == MESSAGES]:
        raise EmopipeError(
            f"--geometry: {messages[0]} holds messages and no pictures to measure; replay the recording itself"
        )
    stages = table.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        return table  # whoever loads it says what is wrong
    if not any(stage.get("use") == "face-geometry" for stage in stages.values()):
        _insert(stages)
    for stage in stages.values():
        if stage.get("use") in {"csv", "parquet"} and stage.get("columns") != "openface":
            stage["geometry"] = True
    return table


def _insert(stages: dict[str, Any]) -> None:
    detectors = [name for name, stage in stages.items() if stage.get("use") == "face-detection"]
    video = _input(stages[detectors[0]], "video") if len(detectors) == 1 else None
    seeing = [stage for stage in stages.values() if detectors and _input(stage, "faces") == f"{detectors[0]}.faces"]
    if video is None or not seeing:
        raise EmopipeError(
            "--geometry needs a graph with one face-detection, whose faces facial-inference sees; "
            f'{len(detectors)} found: put a stage with use = "face-geometry" where you want it'
        )
    if STAGE in stages:
        raise EmopipeError(f"--geometry: the graph has a stage {STAGE} already, which is another; rename it")
    for stage in seeing:
        stage["inputs"] = {**stage["inputs"], "faces": f"{STAGE}.faces"}
    stages[STAGE] = {"use": "face-geometry", "inputs": {"video": video, "faces": f"{detectors[0]}.faces"}}


def _input(stage: dict[str, Any], port: str) -> Any:
    inputs = stage.get("inputs")
    return inputs.get(port) if isinstance(inputs, dict) else None
