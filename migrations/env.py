"""Runs migrations on the app's writing engine. Called by app/schema.py at start and by `flask db`."""

from alembic import context
from flask import current_app

from app.models import db


def include_object(thing, name, kind, reflected, compare_to):
    """Tables of others in a shared database are none of our business."""
    return not (kind == "table" and reflected and compare_to is None)


def run_offline():
    context.configure(
        url=db.engine.url.render_as_string(hide_password=False),
        target_metadata=db.metadata,
        literal_binds=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online():
    arguments = current_app.extensions["migrate"].configure_args
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            include_object=include_object,
            **{**arguments, "render_as_batch": True, "compare_type": True},
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
