"""What a worker does on one node from begin to end: send a batch, bring everything in line, or audit.

Straight-line code around rsync runs. A job never touches the engine's state: it is given what it needs and
answers with a result; a node that is down is a result, too. This file only says what there is.
"""

from sync.auditing import AuditReport, audit
from sync.batches import Batch, Control, Report, RunsRsync, Tools
from sync.resyncing import ResyncOrder, resync
from sync.sending import remove, retry, send, send_promised

__all__ = [
    "AuditReport",
    "Batch",
    "Control",
    "Report",
    "ResyncOrder",
    "RunsRsync",
    "Tools",
    "audit",
    "remove",
    "resync",
    "retry",
    "send",
    "send_promised",
]
