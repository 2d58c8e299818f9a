"""What nsupdate is told, and what it and dig say, as BIND 9.18's were seen to. It runs neither.

A program's words become an error by the table below; what they do not fit in is the caller's to name.
"""

from __future__ import annotations

from dns.core.model import Action, Operation, Record, canonical_name, canonical_value
from dns.errors import (
    ProviderError,
    RefusedError,
    StaleError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.process import Finished

# What the server or the program says → (error, code, what to do). The first that fits counts.
_SAYINGS: tuple[tuple[tuple[str, ...], type[ProviderError], str, str], ...] = (
    (
        ("NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"),
        StaleError,
        "prerequisite",
        "what stands there is read again",
    ),
    (
        ("BADKEY",),
        RefusedError,
        "badkey",
        "the server does not know this key; compare its name with the server's",
    ),
    (("BADSIG", "Couldn't verify signature"), RefusedError, "badsig", "the key's secret is not the server's"),
    (("BADTIME",), RefusedError, "badtime", "the clocks differ by more than 5 minutes; set them"),
    (
        ("NOTAUTH", "NOTZONE"),
        RefusedError,
        "zone",
        "the server is not primary for this zone in this key's view",
    ),
    (("REFUSED",), RefusedError, "refused", "this key may not do it; see allow-update and allow-transfer"),
    (
        ("could not read key", "Couldn't read key"),
        RefusedError,
        "key_file",
        "give the key file's path, readable to us",
    ),
    (
        ("FORMERR", "syntax error", "invalid rdata"),
        RefusedError,
        "format",
        "the server cannot read the change",
    ),
    (("NOTIMP",), RefusedError, "notimp", "the server takes no dynamic updates"),
    (
        ("SERVFAIL",),
        UnavailableError,
        "servfail",
        "see the server's log; often its journal cannot be written",
    ),
    (
        (
            "connection refused",
            "operation canceled",
            "host unreachable",
            "network unreachable",
            "couldn't get address",
        ),
        UnavailableError,
        "unreachable",
        "is the server running, and reachable over TCP?",
    ),
    (
        ("timed out", "no servers could be reached"),
        UnknownOutcomeError,
        "timeout",
        "the server does not answer",
    ),
)


def failure(who: str, what: str, ended: Finished, otherwise: type[ProviderError]) -> ProviderError:
    """The error for a program's end, by what it said; `otherwise` where that leaves open whether it had
    an effect.
    """
    if ended.trouble:
        began = "did not end" in ended.trouble or "was ended" in ended.trouble
        kind = otherwise if began else UnavailableError
        return kind("program", f"{who}: {what} failed: {ended.trouble}")
    output = ended.output.decode("utf-8", "replace")
    comments = "\n".join(row for row in output.splitlines() if row.startswith(";") or "TSIG" in row)
    said = f"{ended.errors.decode('utf-8', 'replace')}\n{comments}"
    for texts, error, code, remedy in _SAYINGS:
        if any(text in said for text in texts):
            kind = otherwise if error is UnknownOutcomeError else error
            return kind(code, f"{who}: {what} failed ({_gist(said, texts)}): {remedy}")
    return otherwise("answer", f"{who}: {what} failed: {_gist(said, ('failed',)) or 'cut short'}")


def message(operation: Operation) -> list[str]:
    """The lines of one update message: what is expected to stand, then what shall."""
    name, kind = f"{operation.key.name}.", operation.key.type
    if operation.action is Action.ADD:
        expected = [f"prereq nxrrset {name} {kind}", f"prereq nxrrset {name} CNAME"]
    else:
        expected = [f"prereq yxrrset {name} {kind} {r.value}" for r in operation.old]
    removal = [f"update delete {name} {kind}"] if operation.old else []
    additions = [f"update add {name} {r.ttl} {kind} {r.value}" for r in operation.new]
    return [*expected, *removal, *additions]


def parsed(text: str) -> dict[tuple[str, str], list[Record]] | None:
    """dig's records by (name, type); None when the transfer did not end with the SOA that it began with."""
    found: dict[tuple[str, str], list[Record]] = {}
    bounds: list[str] = []
    last = ""
    for row in text.splitlines():
        parts = row.split(None, 4)
        if row.startswith(";") or len(parts) < 5 or parts[2] != "IN" or not parts[1].isdigit():
            continue
        name, ttl, _, record_type, value = parts
        last = record_type
        if record_type == "SOA":
            bounds.append(value)
            continue
        record = Record(canonical_value(record_type, value), int(ttl))
        found.setdefault((canonical_name(name), record_type), []).append(record)
    whole = len(bounds) == 2 and bounds[0] == bounds[1] and last == "SOA"
    return found if whole else None


def _gist(said: str, texts: tuple[str, ...]) -> str:
    """The line of the output that tells, short and without the program's ornaments."""
    for row in said.splitlines():
        if any(text in row for text in texts):
            return " ".join(row.strip("; ").split())[:160]
    return ""
