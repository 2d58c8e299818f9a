"""All tables in one place, for migrations and queries.

A new model is imported here, or migrations do not see it.
"""

from app.models.access import SessionRow, TokenRow, UserRow
from app.models.alerts import AlertStateRow, OutboxRow
from app.models.base import READ, Base, Model, db
from app.models.history import EventRow, TransferRow
from app.models.journal import DustbinRow, Entry, MetaRow, NodeRow
from app.models.lease import LeaseRow
from app.models.records import FactRow, LedgerRow, RecordHistoryRow, ReportRow
from app.models.samples import SampleRow

__all__ = [
    "READ",
    "AlertStateRow",
    "Base",
    "DustbinRow",
    "Entry",
    "EventRow",
    "FactRow",
    "LeaseRow",
    "LedgerRow",
    "MetaRow",
    "Model",
    "NodeRow",
    "OutboxRow",
    "RecordHistoryRow",
    "ReportRow",
    "SampleRow",
    "SessionRow",
    "TokenRow",
    "TransferRow",
    "UserRow",
    "db",
]
