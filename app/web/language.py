"""Chooses English or Chinese for each answer: what the visitor chose, what is configured, what the browser asks."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, has_request_context, request, session
from flask_babel import Babel, get_locale, get_translations

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


def translations() -> Any:
    """The catalogue of this request, looked up once: a page with 300 nodes asks for thousands of texts."""
    if not has_request_context():
        return get_translations()
    if "translations" not in g:
        g.translations = get_translations()
    return g.translations


def register(app: Flask) -> None:
    """Sets up the translations in app/translations."""
    Babel(app, locale_selector=lambda: chosen(app), default_translation_directories="translations")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # of jinja2's i18n extension
        lambda text: translations().ugettext(text),
        lambda one, more, count: translations().ungettext(one, more, count),
        newstyle=True,
    )
    app.context_processor(lambda: {"language": str(get_locale() or "en")})
