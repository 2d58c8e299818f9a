"""Sends one request to DNSPod through Tencent Cloud's SDK; what comes of it is a dict or a `ProviderError`.

The SDK repeats nothing by itself. At DEBUG it logs requests with their signature, so its logger is silenced.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.dnspod.v20210323.dnspod_client import DnspodClient as Sdk

from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    StaleError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.providers.record_by_record import DUPLICATE, GONE

PUBLIC_ENDPOINT = "https://dnspod.tencentcloudapi.com"
_NEVER_SENT = (
    "NewConnectionError",
    "NameResolutionError",
    "Failed to establish a new connection",
    "ConnectTimeoutError",
)


def quieten_sdk() -> None:
    """Silences the SDK's logger: at DEBUG it writes requests and their signatures."""
    logging.getLogger("tencentcloud_sdk_common").propagate = False
    logging.getLogger("tencentcloud_sdk_common").setLevel(logging.CRITICAL + 1)


quieten_sdk()

# Code, or its beginning up to a dot: kind and remedy. The longest that fits decides.
_REFUSALS: dict[str, tuple[str, str]] = {
    "AuthFailure": (
        "credentials",
        "check secret_id and secret_key of this provider, and this machine's clock",
    ),
    "AuthFailure.UnauthorizedOperation": ("rights", "grant this key QcloudDNSPodFullAccess"),
    "UnauthorizedOperation": ("rights", "grant this key QcloudDNSPodFullAccess"),
    "OperationDenied": ("rights", "this account may not change the zone"),
    "InvalidParameterValue.DomainNotExists": (
        "zone",
        "check the service's zone, and that this account has it",
    ),
    "InvalidParameter.DomainInvalid": ("zone", "check the service's zone, and that this account has it"),
    "InvalidParameter.DomainIdInvalid": ("zone", "check the service's zone, and that this account has it"),
    "ResourceNotFound.NoDataOfDomain": ("zone", "check the service's zone, and that this account has it"),
    "FailedOperation.NotDomainOwner": ("zone", "check that this account owns the zone"),
    "FailedOperation.DomainOwnedByOtherUser": ("zone", "check that this account owns the zone"),
    "FailedOperation.DomainIsLocked": ("blocked", "unlock the zone in the DNSPod console"),
    "FailedOperation.MustAddDefaultLineFirst": (
        "plan",
        "give the service a default line; DNSPod wants it first",
    ),
    "InvalidParameter.RecordLineInvalid": ("plan", "this zone's plan does not have that line"),
    "LimitExceeded": ("quota", "a limit of this plan is reached; see the code"),
    "LimitExceeded.RecordTtlLimit": ("quota", "this plan takes no TTL that short: raise the service's ttl"),
    "FailedOperation": ("blocked", "see the DNSPod console"),
    "InvalidParameter": ("plan", "check the service's record, line, TTL and addresses"),
    "InvalidParameterValue": ("plan", "check the service's record, line, TTL and addresses"),
    "MissingParameter": ("plan", "check the service's record, line, TTL and addresses"),
}
_THROTTLED = (
    "RequestLimitExceeded",
    "FailedOperation.FrequencyLimit",
    "InvalidParameter.OperationIsTooFrequent",
)
_SERVER = ("InternalError", "FailedOperation.UnknowError", "ServerNetworkError", "ResourceUnavailable")
_DUPLICATES = ("InvalidParameter.DomainRecordExist",)
_GONE = ("ResourceNotFound.NoDataOfRecord", "InvalidParameter.RecordIdInvalid")


class DnspodClient:
    """One account's connection; `call` sends exactly one request."""

    def __init__(
        self, secret_id: str, secret_key: str, endpoint: str | None, timeout: tuple[float, float]
    ) -> None:
        quieten_sdk()  # again: whoever set up logging since the import may have woken the SDK's logger
        parts = urlsplit(endpoint or PUBLIC_ENDPOINT)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise SettingsError("endpoint", "endpoint is not of the form https://HOST or https://HOST:PORT")
        profile = HttpProfile(
            protocol=parts.scheme, endpoint=parts.netloc, reqTimeout=timeout, keepAlive=True
        )
        self._sdk = Sdk(Credential(secret_id, secret_key), "", ClientProfile(httpProfile=profile))
        if parts.hostname == "localhost" or parts.hostname.startswith("127."):
            # A key with None keeps requests from asking the environment for a proxy.
            self._sdk.request.conn.proxy = {"http": None, "https": None, "all": None}

    def call(self, action: str, parameters: Mapping[str, Any], who: str) -> dict[str, Any]:
        """DNSPod's answer. Raises a `ProviderError` that begins with `who` and quotes nothing but a code."""
        writes = not action.startswith("Describe")
        failure: ProviderError
        try:
            document = self._sdk.call_json(action, dict(parameters))["Response"]
            if "RequestId" in document and "Error" not in document:
                return dict(document)
            failure = lost("an answer that makes no sense", "garbage", writes, who)
        except TencentCloudSDKException as refused:
            failure = error_of(str(refused.get_code()), str(refused.get_message()), writes, who)
        except Exception as surprise:  # noqa: BLE001 - the SDK lets anything through
            came = f"an answer that makes no sense ({type(surprise).__name__})"
            failure = lost(came, "garbage", writes, who)
        raise failure  # outside the except blocks: the SDK's errors quote requests and are not chained

    def close(self) -> None:
        """Closes the kept connections."""
        session = getattr(self._sdk.request.conn, "_session", None)
        if session is not None:
            session.close()


def error_of(code: str, message: str, writes: bool, who: str) -> ProviderError:
    """The error for a code of the API or of the SDK itself. The message only tells the kind of trouble."""
    if code == "ClientNetworkError":
        if any(sign in message for sign in _NEVER_SENT):
            return UnavailableError("unreachable", f"{who}: DNSPod cannot be reached; check the network")
        return lost("no answer", "no_answer", writes, who)
    shown = f"{who}: DNSPod answered {code[:80]}"
    if code.startswith(_THROTTLED):
        return UnavailableError("throttled", f"{shown}; lower requests_per_second if this goes on")
    if code.startswith(_SERVER):
        return lost(code[:80], "server", writes, who)
    if code == "FailedOperation.TemporaryError" or code == "InvalidParameter.DomainTaskNotFinished":
        return UnavailableError("busy", f"{shown}; an earlier change is still being carried out")
    if code in _DUPLICATES:
        return StaleError(DUPLICATE, f"{shown}; it stands already and is read again")
    if code in _GONE:
        return StaleError(GONE, f"{shown}; the record is gone and is read again")
    parts = code.split(".")
    for length in range(len(parts), 0, -1):
        if found := _REFUSALS.get(".".join(parts[:length])):
            return RefusedError(found[0], f"{shown}; {found[1]}")
    return RefusedError("refused", f"{shown}; look the code up in DNSPod's documentation")


def lost(came: str, code: str, writes: bool, who: str) -> ProviderError:
    """What an answer that says nothing means: for a write the outcome is unknown."""
    if writes:
        return UnknownOutcomeError(code, f"{who}: {came} from DNSPod, so it may have happened or not")
    return UnavailableError(code, f"{who}: {came} from DNSPod")
