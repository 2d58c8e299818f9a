"""Asks a program of the operator's for addresses. Never through a shell, never without a time limit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dns.addresses.contract import SourceError, SourceSpec
from dns.addresses.reported import Reports
from dns.core.address import AddressError, Resolution, only
from dns.process import plain_environment, run_program

_OUTPUT_BYTES = 16384


@dataclass(frozen=True, slots=True)
class CommandSource:
    """The addresses a program prints, separated by white space or commas. Anything else in its output is a
    failure.

    The program finds the node's name in ``LOCKSTEP_NODE`` and the asked family in ``LOCKSTEP_FAMILY``.
    """

    node: str
    argv: tuple[str, ...]
    family: int | None = None
    timeout_seconds: float = 5.0
    kind: str = "command"

    @classmethod
    def from_spec(cls, spec: SourceSpec, _reports: Reports) -> CommandSource:
        """Raises SourceError for an empty argv."""
        if not spec.values or not spec.values[0]:
            raise SourceError(f"command of node {spec.node} needs a program")
        return cls(spec.node, spec.values, spec.family, spec.timeout_seconds)

    @property
    def label(self) -> str:
        """The program; its arguments may be secret."""
        return f"command {self.argv[0]}"

    def resolve(self) -> Resolution:
        """What the program printed, if it ended with 0 and printed addresses only."""
        facts = {"LOCKSTEP_NODE": self.node, "LOCKSTEP_FAMILY": str(self.family or "")}
        ended = run_program(
            self.argv,
            timeout_seconds=self.timeout_seconds,
            environment=plain_environment(facts),
            output_bytes=_OUTPUT_BYTES,
        )
        if ended.trouble is not None:
            return Resolution.failed(ended.trouble)
        if ended.code != 0:
            said = ended.errors.decode("utf-8", "replace").strip()[:200] or "nothing on stderr"
            return Resolution.failed(f"{self.argv[0]} ended with status {ended.code}: {said}")
        return only(self._parsed(ended.output), self.family, self.label)

    def _parsed(self, output: bytes) -> Resolution:
        words = re.split(r"[\s,]+", output.decode("utf-8", "replace").strip())
        if words == [""]:
            return Resolution.failed(f"{self.argv[0]} printed nothing; it must print addresses")
        if len(output) >= _OUTPUT_BYTES:
            return Resolution.failed(
                f"{self.argv[0]} printed more than {_OUTPUT_BYTES} bytes; it must print addresses"
            )
        try:
            return Resolution.found(words)
        except AddressError as error:
            return Resolution.failed(f"{self.argv[0]} printed something else than addresses: {error}")
