"""Says what a refusal or a failure of Cloudflare's API means; of the answer only numbers are ever shown.

Source: Cloudflare API v4, DNS records and API tokens; the SDK's tree of errors.
"""

from __future__ import annotations

import logging

import cloudflare as sdk
import httpx

from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.record_by_record import DUPLICATE, GONE


def quieten_sdk() -> None:
    """Silences the SDK's logger: at DEBUG it writes requests and headers."""
    logging.getLogger("cloudflare").setLevel(logging.CRITICAL + 1)
    logging.getLogger("cloudflare").propagate = False


quieten_sdk()

_DUPLICATES = frozenset({81057, 81058})
_CONFLICTS = frozenset({81053, 81054, 81055, 81056})
_GONE = frozenset({81044})
_CREDENTIALS = frozenset({6003, 6111, 9106, 9109, 10000, 10001})


def refusal_of(refused: sdk.APIStatusError, writes: bool, who: str) -> ProviderError:
    """What a refusal means: its own codes first, then the HTTP status. Of the answer only numbers show."""
    status = refused.status_code
    codes = _codes(refused)
    shown = f"{who}: Cloudflare answered {status}" + (f" ({', '.join(map(str, codes))})" if codes else "")
    found = frozenset(codes)
    if found & _DUPLICATES:
        return StaleError(DUPLICATE, f"{shown}; it stands already and is read again")
    if found & _GONE:
        return StaleError(GONE, f"{shown}; the record is gone and is read again")
    if found & _CONFLICTS:
        return RefusedError("conflict", f"{shown}; remove the record of another type at that name")
    if status == 429 or 971 in found:
        wish = refused.response.headers.get("retry-after", "")
        return UnavailableError("throttled", f"{shown}; too many requests", _seconds(wish))
    if status in (401, 403) or found & _CREDENTIALS:
        return RefusedError("credentials", f"{shown}; check the token: Zone Read and DNS Edit for this zone")
    if status >= 500:
        return lost(f"{status}", writes, who, "server")
    if status == 404:
        return StaleError(GONE, f"{shown}; the record or zone is gone and is read again")
    return RefusedError("plan", f"{shown}; check the service's record, TTL and addresses")


def _codes(refused: sdk.APIStatusError) -> list[int]:
    body = refused.body
    errors = body.get("errors") if isinstance(body, dict) else None
    found = [error.get("code") for error in errors or [] if isinstance(error, dict)]
    return [code for code in found if isinstance(code, int)]


def _seconds(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def trouble_of(trouble: sdk.APIConnectionError, writes: bool, who: str) -> ProviderError:
    """What a broken connection means: only one that never came about certainly had no effect."""
    never_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
    if isinstance(trouble.__cause__, never_sent):
        return UnavailableError("unreachable", f"{who}: Cloudflare cannot be reached; check the network")
    return lost("no answer", writes, who, "no_answer")


def lost(came: str, writes: bool, who: str, code: str = "garbage") -> ProviderError:
    """What an answer that says nothing means: for a write the outcome is unknown."""
    if writes:
        return UnknownOutcomeError(code, f"{who}: {came} from Cloudflare, so it may have happened or not")
    return UnavailableError(code, f"{who}: {came} from Cloudflare")
