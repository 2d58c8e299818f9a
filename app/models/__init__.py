"""All tables in one place, for migrations and queries.

A new model is imported here, or migrations do not see it.
"""

from app.models.access import SessionRow, TokenRow, UserRow
from app.models.base import READ, Base, Model, db
from app.models.history import EventRow, TransferRow
from app.models.journal import DustbinRow, Entry, MetaRow, NodeRow
from app.models.lease import LeaseRow
from app.models.samples import SampleRow

__all__ = [
    "READ",
    "Base",
    "DustbinRow",
    "Entry",
    "EventRow",
    "LeaseRow",
    "MetaRow",
    "Model",
    "NodeRow",
    "SampleRow",
    "SessionRow",
    "TokenRow",
    "TransferRow",
    "UserRow",
    "db",
]
