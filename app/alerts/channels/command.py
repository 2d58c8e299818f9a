"""Tells by starting a program of the operator's. Never through a shell, never without a time limit.

The facts are in its environment (``LOCKSTEP_TITLE``, ``LOCKSTEP_TEXT``, ``LOCKSTEP_KIND``, …), the whole
notice as JSON on its standard input. Status 0 means told; anything else is tried again later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from app.alerts.channels.contract import ChannelError, Options, Rate, hide
from app.alerts.channels.variables import variables
from app.alerts.model import Delivery, Notice
from dns.process import plain_environment, run_program

_OUTPUT_BYTES = 4096
_KEY_LENGTH = 8


@dataclass(frozen=True, slots=True)
class CommandChannel:
    """A program and its arguments."""

    name: str
    argv: tuple[str, ...] = field(repr=False)
    timeout_seconds: float = 30.0
    rate: Rate | None = None

    @classmethod
    def from_options(cls, options: Options) -> CommandChannel:
        """Raises ChannelError for an empty argv."""
        argv = options.texts("argv")
        if not argv[0]:
            raise ChannelError(f"channel {options.channel} needs a program in argv")
        return cls(options.channel, argv, options.number("timeout", 30))

    def send(self, notice: Notice) -> Delivery:
        """One run."""
        facts = {f"LOCKSTEP_{name.upper()}": value for name, value in variables(notice).items()}
        ended = run_program(
            self.argv,
            timeout_seconds=self.timeout_seconds,
            stdin=json.dumps(notice.to_json(), ensure_ascii=False).encode(),
            environment=plain_environment(facts),
            output_bytes=_OUTPUT_BYTES,
            merge_errors=True,
        )
        said = ended.output.decode("utf-8", "replace").strip()
        printed = f"; it printed: {said[:300]}" if said else ""
        outcome = (
            ended.trouble or f"{self.argv[0]} ended with status {ended.code} after {ended.seconds:.1f} s"
        )
        return Delivery(ended.ok, detail=hide(f"{outcome}{printed}", *self._maybe_secret()))

    def _maybe_secret(self) -> tuple[str, ...]:
        """Arguments that are long enough to be keys; hiding ``-v`` or ``a`` would only garble what was
        printed.
        """
        return tuple(argument for argument in self.argv[1:] if len(argument) >= _KEY_LENGTH)
