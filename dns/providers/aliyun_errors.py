"""Says what each AliDNS error code means: its kind, whether trying again helps, what to do. Sends nothing.

Source: AliDNS API 2015-01-09, error codes of each action and the common ones; the Python SDK's renamings.

    kind         permanent   meaning
    credentials  yes         the key, its secret or its state
    rights       yes         the key may not do this
    zone         yes         the zone is not in this account
    plan         yes         the request itself: a value, a line, a TTL the zone does not take
    quota        yes         the edition's limits
    conflict     yes         a CNAME stands beside an address in the same set
    blocked      yes         locked or forbidden by the provider
    clock        yes         this machine's clock
    duplicate    –           it stands already: read again
    gone         –           the record is not there any more
    unweighted   –           weights are switched off for the set
    throttled    no          too many requests
    busy         no          an earlier change is still being carried out
    stale_sign   no          sign anew
    server       no          5xx: a write's outcome is unknown
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means: its kind (the error's `code`), whether a person must act, and what to do next."""

    kind: str
    permanent: bool
    remedy: str


_CREDENTIALS = Meaning("credentials", True, "check access_key_id and access_key_secret of this provider")
_ZONE = Meaning("zone", True, "check the service's zone, and that this account owns it")
_PLAN = Meaning("plan", True, "check the service's record, line, TTL and addresses")
_BLOCKED = Meaning("blocked", True, "unlock it in the AliDNS console")
_CLOCK = Meaning(
    "clock", True, "set this machine's clock (NTP): AliDNS takes at most 15 minutes of difference"
)
_GONE = Meaning("gone", False, "the record is gone; it is read again")
_THROTTLED = Meaning("throttled", False, "lower requests_per_second if this goes on")
_SERVER = Meaning("server", False, "AliDNS is in trouble itself; it is tried again")

MEANINGS: dict[str, Meaning] = {
    "InvalidAccessKeyId.NotFound": _CREDENTIALS,
    "InvalidAccessKeyId.Inactive": Meaning("credentials", True, "enable the access key in the RAM console"),
    "InvalidAccessKeySecret": _CREDENTIALS,  # the SDK's own name for a 400 SignatureDoesNotMatch
    "SignatureDoesNotMatch": _CREDENTIALS,
    "IncompleteSignature": Meaning("stale_sign", False, "it is signed anew; check this machine's clock"),
    "SignatureNonceUsed": Meaning("stale_sign", False, "it is signed anew"),
    "InvalidDomainName.NoExist": _ZONE,
    "IncorrectDomainUser": _ZONE,
    "DomainRecordDuplicate": Meaning("duplicate", False, "it stands already; it is read again"),
    "DomainRecordNotBelongToUser": _GONE,
    "InvalidRR.NoExist": _GONE,
    "DomainRecordConflict": Meaning(
        "conflict", True, "remove the CNAME (or the addresses) standing in the same name and line"
    ),
    "DomainRecordLocked": _BLOCKED,
    "DomainForbidden": Meaning("blocked", True, "AliDNS has forbidden this zone; ask its support"),
    "DomainRecordDisable": Meaning("blocked", True, "enable the record in the AliDNS console"),
    "PanDomainRecord": Meaning("plan", True, "AliDNS takes no weights for a wildcard record; remove them"),
    "DisableDNSSLB": Meaning("unweighted", False, "weights are switched on for the set"),
    "InvalidWeigth": Meaning("plan", True, "weights go from 1 to 100"),  # spelled so by the API
    "QuotaExceeded.ARecord": Meaning(
        "quota", True, "too many addresses for one name and line in this edition: lower max_answers"
    ),
    "QuotaExceeded.Record": Meaning(
        "quota", True, "too many records in this edition: remove some or upgrade"
    ),
    "QuotaExceeded.TTL": Meaning(
        "quota", True, "this edition takes no TTL that short: raise the service's ttl"
    ),
    "LastOperationNotFinished": Meaning("busy", False, "an earlier change is still being carried out"),
    "InternalError": _SERVER,
    "ServiceUnavailable": _SERVER,
    "SDK.UnknownServerError": _SERVER,  # an answer that is no JSON, whatever its status
}

_FAMILIES: tuple[tuple[str, Meaning], ...] = (  # the first that fits
    ("InvalidAccessKeyId", _CREDENTIALS),
    ("InvalidTimeStamp", _CLOCK),
    ("Forbidden", Meaning("rights", True, "grant this access key AliyunDNSFullAccess, or the single action")),
    (
        "NoPermission",
        Meaning("rights", True, "grant this access key AliyunDNSFullAccess, or the single action"),
    ),
    ("RecordForbidden", Meaning("blocked", True, "AliDNS has blocked this record; see its console")),
    (
        "QuotaExceeded",
        Meaning("quota", True, "a limit of this edition is reached: remove records or upgrade"),
    ),
    ("Throttling", _THROTTLED),
    ("InvalidDomainName", _ZONE),
    ("SubDomainInvalid", _PLAN),
    ("InvalidRR", _PLAN),
    ("InvalidParameter", _PLAN),
    ("Missing", _PLAN),
)

_SAFE_CODE = re.compile(r"[A-Za-z0-9._-]{1,60}")


def meaning_of(code: str, http_status: int | None) -> Meaning:
    """What a code means; for one nobody has heard of the HTTP status decides."""
    if code in MEANINGS:
        return MEANINGS[code]
    for prefix, meaning in _FAMILIES:
        if (
            code == prefix
            or code.startswith(f"{prefix}.")
            or (prefix == "Missing" and code.startswith(prefix))
        ):
            return meaning
    if http_status == 429:
        return _THROTTLED
    if http_status is None or http_status >= 500:
        return _SERVER
    if http_status in (401, 403):
        return Meaning("rights", True, "check what this access key may do")
    return Meaning("refused", True, "look the code up in AliDNS's documentation")


def error_of(code: str, http_status: int | None, writes: bool, what: str) -> ProviderError:
    """The error to raise. `what` says who did what on what; of the server's words only the code is used.

    AliDNS's own messages are left out because some quote the signed request with the access key in it.
    """
    meaning = meaning_of(code, http_status)
    shown = code if _SAFE_CODE.fullmatch(code) else "an unreadable code"
    text = f"{what}: AliDNS answered {shown}; {meaning.remedy}"
    if meaning.kind == "server" and writes:
        return UnknownOutcomeError(
            "server", f"{what}: AliDNS answered {shown}, so it may have happened or not"
        )
    if meaning.permanent:
        return RefusedError(meaning.kind, text)
    if meaning.kind in ("gone", "duplicate"):
        return StaleError(meaning.kind, text)
    return UnavailableError(meaning.kind, text)
