"""Chooses English or Chinese for each answer: what the visitor chose, what is configured, what the browser asks."""

from __future__ import annotations

from flask import Flask, request, session
from flask_babel import Babel, get_locale

from app.installation import Installation

LANGUAGES = ("en", "zh")


def chosen(app: Flask) -> str:
    """`en` or `zh`."""
    own = session.get("language")
    if own in LANGUAGES:
        return str(own)
    installation: Installation = app.extensions["lockstep"]
    config = installation.supervisor.config if installation.supervisor else installation.config
    if config is not None and config.web.language != "auto":
        return config.web.language
    return request.accept_languages.best_match(LANGUAGES, default="en") or "en"


def register(app: Flask) -> None:
    """Sets up the translations in app/translations."""
    Babel(app, locale_selector=lambda: chosen(app), default_translation_directories="translations")
    app.context_processor(lambda: {"language": str(get_locale() or "en")})
