"""The service's process: supervisor, waitress, signals. Nothing here decides anything."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

import waitress
import waitress.server
from flask import Flask

from app.config import Config, ConfigError, secrets_of
from app.installation import Installation
from app.logs import configure as configure_logs
from app.stores.lease import LeaseHeld
from app.supervisor import CannotStart, Supervisor
from app.systemd import Heart, Notifier
from app.version import VERSION
from app.web.proxy import behind_proxy

log = logging.getLogger(__name__)

WEB_THREADS = 16
CONNECTIONS = 1000
BODY_BYTES = 1 << 20
GARBAGE_THRESHOLD = 10_000
"""New objects before the youngest are looked through; Python's 700 suits short scripts."""


def serve(app: Flask) -> None:
    """Runs until SIGTERM or Ctrl-C, and ends everything it started. Raises what Supervisor.start raises."""
    installation: Installation = app.extensions["lockstep"]
    if installation.config is None:
        assert installation.error is not None  # noqa: S101 - create_app sets one of the two
        raise installation.error
    config = installation.config
    configure_logs(config.log, config.data_dir, secrets_of(config))
    ending = _Ending()
    supervisor = Supervisor(app, config, sleep=ending.sleep)
    installation.supervisor = supervisor
    try:
        supervisor.start()
    except LeaseHeld:
        if not ending.end.is_set():
            raise
        log.info("ended while waiting for the lease")
        return
    try:
        server = listening(app, config)
        web = threading.Thread(target=server.run, name="web", daemon=True)
        web.start()
        log.info("lockstep %s serves http://%s:%d", VERSION, config.web.host, config.web.port)
        announce(app, config)
        for warning in config.warnings:
            log.warning("%s", warning)
        notifier = Notifier()
        notifier.ready(f"serves http://{config.web.host}:{config.web.port}")
        _run(supervisor, ending, notifier)
        notifier.stopping()
        log.info("ending")
        server.close()
    finally:
        supervisor.stop()
        installation.supervisor = None
    if supervisor.lost.is_set():
        sys.exit(4)


def listening(app: Flask, config: Config) -> waitress.server.BaseWSGIServer:
    """The HTTP server on its port. Raises CannotStart when the address cannot be had."""
    try:
        return waitress.create_server(behind_proxy(app, config.web.trusted_proxy), **web_options(config))
    except OSError as error:
        raise CannotStart(
            f"web: cannot listen on {config.web.host}:{config.web.port} ({error.strerror}): end the program that "
            "does, or change web.host and web.port"
        ) from error


def web_options(config: Config) -> dict[str, object]:
    """waitress's settings: threads enough for slow readers, bounded bodies, a proxy only where one is named."""
    return {
        "host": config.web.host,
        "port": config.web.port,
        "threads": WEB_THREADS,
        "connection_limit": CONNECTIONS,
        "asyncore_use_poll": True,
        "channel_request_lookahead": 1,
        # A connection that asks for much at once and reads nothing must not fill the buffers: then a thread would wait.
        "recv_bytes": 1024,
        # Twice what the application takes, so that it is the application that refuses, in its own form.
        "max_request_body_size": 2 * BODY_BYTES,
        "ident": None,
        "clear_untrusted_proxy_headers": False,  # app.web.proxy does it, and knows the prefix
    }


def announce(app: Flask, config: Config) -> None:
    """Says once, while there is no administrator, how the first one is made."""
    token = app.extensions["lockstep.door"].first_token()
    if token is not None:
        log.warning(
            "there is no administrator: only this machine is served. Open http://%s:%d/first?token=%s to become "
            "it, or run `flask user add NAME`",
            config.web.host,
            config.web.port,
            token,
            # Whoever reads the service's log runs the machine; whoever opens a page on it need not.
            extra={
                "elsewhere": "there is no administrator: only this machine is served. The token that makes the "
                "first one stands in the service's own log"
            },
        )


class _Ending:
    """Signals as flags: the handlers do nothing else."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.reload = threading.Event()
        self.wake = threading.Event()
        signal.signal(signal.SIGTERM, self._on_end)
        signal.signal(signal.SIGINT, self._on_end)
        signal.signal(signal.SIGHUP, self._on_reload)

    def sleep(self, seconds: float) -> None:
        """Returns early when it is time to end."""
        until = time.monotonic() + seconds
        while not self.end.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self.end.set()
        self.wake.set()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self.reload.set()
        self.wake.set()


def _run(supervisor: Supervisor, ending: _Ending, notifier: Notifier) -> None:
    heart = Heart(notifier, supervisor.engine.post)
    _settle_memory()
    while not ending.end.is_set() and not supervisor.lost.is_set():
        ending.wake.wait(1.0)
        ending.wake.clear()
        if ending.reload.is_set():
            ending.reload.clear()
            notifier.reloading()
            notifier.ready(_reload(supervisor))
        heart.tick()


def _settle_memory() -> None:
    """Takes what stands after the start (modules, pages, mappings) out of the garbage collector's sight.

    Walking it again and again cost a tenth of the time between a change and its rsyncs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _reload(supervisor: Supervisor) -> str:
    """Takes up the configuration; what came of it, in a few words."""
    try:
        for sentence in supervisor.reload():
            log.warning("%s", sentence)
        return "reloaded"
    except ConfigError as error:
        log.error("the configuration was not taken, the old one runs on")
        for problem in error.problems:
            log.error("%s", problem)
    except Exception:
        log.exception("the configuration could not be reloaded, the old one runs on")
    return "the new configuration was not taken; the old one runs on"


def main() -> None:
    """`python wsgi.py`."""
    from app import create_app
    from app.cli.output import speaks_plainly

    os.umask(os.umask(0o022) | 0o022)
    speaks_plainly(serve)(create_app())
