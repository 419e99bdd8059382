"""The runtime, as an author of stages sees it; `examples/my_stage.py` shows how little of it a stage needs.

Whatever is not here (graphs, hosts, links, workers) is the runtime's own. `emopipe.pipeline.testing` drives a stage
in a test.
"""

from emopipe.pipeline.batcher import Batcher
from emopipe.pipeline.clock import MS, SECOND, Clock, Wakeup
from emopipe.pipeline.errors import DataError, EmopipeError, GraphError, MediaError, ModelError, StageFailed
from emopipe.pipeline.join import Ended, EventTimeJoin, Released
from emopipe.pipeline.mailbox import Mailbox
from emopipe.pipeline.message import FOREVER, Message, Payload, Placement
from emopipe.pipeline.port import Invalid, Mode, Policy, Port, Settings, about
from emopipe.pipeline.report import Report
from emopipe.pipeline.resources import PerStream
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.stream_join import Fold, Pair, Pairing, PartnerRule, StreamJoin, latest_within

__all__ = [
    "FOREVER",
    "MS",
    "SECOND",
    "Batcher",
    "Clock",
    "DataError",
    "EmopipeError",
    "Ended",
    "EventTimeJoin",
    "Fold",
    "GraphError",
    "Invalid",
    "Mailbox",
    "MediaError",
    "Message",
    "Mode",
    "ModelError",
    "Pair",
    "Pairing",
    "PartnerRule",
    "Payload",
    "PerStream",
    "Placement",
    "Policy",
    "Port",
    "Released",
    "Report",
    "Settings",
    "Source",
    "Stage",
    "StageFailed",
    "StreamJoin",
    "Wakeup",
    "about",
    "latest_within",
]
