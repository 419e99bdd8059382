"""The command's verbs: which module is each. A module of them has `HELP`, `add_arguments` and `main`."""

VERBS = {
    "run": "emopipe.commands.playing.run",
    "replay": "emopipe.commands.playing.replay",
    "archive": "emopipe.commands.playing.archive",
    "record": "emopipe.commands.playing.record",
    "top": "emopipe.commands.playing.top",
    "bench": "emopipe.commands.evaluation.bench",
    "check": "emopipe.commands.setup.check",
    "inspect": "emopipe.commands.setup.inspect",
    "graph": "emopipe.commands.setup.graph",
    "devices": "emopipe.commands.setup.devices",
    "train": "emopipe.commands.models.train",
    "evaluate": "emopipe.commands.evaluation.evaluate",
    "predict": "emopipe.commands.models.predict",
    "export": "emopipe.commands.models.export",
    "certify": "emopipe.commands.evaluation.certify",
    "compare": "emopipe.commands.evaluation.compare",
    "keys": "emopipe.commands.setup.keys",
    "worker": "emopipe.commands.playing.worker",
}
