"""What `emopipe bench` measures: a module a verb, with `HELP`, `add_arguments` and `measure`."""

VERBS = ("replay", "latency", "live", "transport", "batching", "startup", "memory", "peers", "flame")
