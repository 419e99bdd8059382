"""List the cameras and microphones that there are, with the tables that put them into a graph."""

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emopipe.stages.capture.devices import Device

HELP = "list cameras and microphones"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")


def main(arguments: argparse.Namespace) -> int:
    from emopipe.stages.capture.devices import NOUN, devices, table, why_none

    found = {kind: devices(kind) for kind in NOUN}
    everything = [device for each in found.values() for device in each]
    if arguments.json:
        print(json.dumps([_plain(device, NOUN[device.kind]) for device in everything], ensure_ascii=False, indent=2))
        return 0
    for kind, each in found.items():
        if each:
            print(f"{NOUN[kind]}s:")
            print("\n".join(f"  {device.device}  {device.description}" for device in each))
        else:
            print(f"no {NOUN[kind]}: {why_none(kind)}")
    if everything:
        print("\nIn a graph (see configs/webcam.toml):\n")
        print(table(everything))
    return 0


def _plain(device: "Device", stage: str) -> dict[str, str]:
    return {"stage": stage, "format": device.format, "device": device.device, "description": device.description}
