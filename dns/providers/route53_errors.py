"""Says what a refusal or a failure of Route 53 means; of the answer only the code is ever shown.

A message may quote the signed request. Source: Route 53 API 2013-04-01 and AWS's common errors.
"""

from __future__ import annotations

import logging
import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError


def quieten_sdk() -> None:
    """Silences the SDK's loggers: at DEBUG they write requests with key id and signature."""
    for name in ("boto3", "botocore", "s3transfer"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        logging.getLogger(name).propagate = False


quieten_sdk()

_CREDENTIALS = (
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "ExpiredToken",
)
_RIGHTS = ("AccessDenied", "AccessDeniedException", "OptInRequired")
_THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")
_SERVER = ("InternalError", "ServiceUnavailable", "InternalFailure")
_NOT_AS_PLANNED = re.compile(r"already exists|not found|do not match", re.IGNORECASE)


def failure_of(trouble: Exception, writes: bool, who: str) -> ProviderError:
    """The error for whatever boto3 raised."""
    if isinstance(trouble, ClientError):
        return refusal_of(trouble, writes, who)
    if isinstance(trouble, NoCredentialsError | PartialCredentialsError):
        return RefusedError("credentials", f"{who}: no AWS credentials; set access_key_id or give it a role")
    if isinstance(trouble, EndpointConnectionError | ConnectTimeoutError):
        return UnavailableError("unreachable", f"{who}: Route 53 cannot be reached; check the network")
    if isinstance(trouble, BotoCoreError):
        return lost(f"no answer ({type(trouble).__name__})", "no_answer", writes, who)
    return lost(f"an answer that makes no sense ({type(trouble).__name__})", "garbage", writes, who)


def refusal_of(refused: ClientError, writes: bool, who: str) -> ProviderError:
    """What a refusal means. Of the answer only the code is shown: a message may quote the signed request."""
    code = str(refused.response.get("Error", {}).get("Code", ""))[:60]
    status = int(refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    shown = f"{who}: Route 53 answered {code or status}"
    if code.startswith(_CREDENTIALS) or code == "MissingAuthenticationToken":
        return RefusedError(
            "credentials", f"{shown}; check the keys of this provider, and this machine's clock"
        )
    if code in _RIGHTS:
        return RefusedError("rights", f"{shown}; grant route53:ChangeResourceRecordSets and the List actions")
    if code in _THROTTLED or status == 429:
        return UnavailableError("throttled", f"{shown}; lower requests_per_second if this goes on")
    if code == "PriorRequestNotComplete":
        return UnavailableError("busy", f"{shown}; an earlier change is still being carried out")
    if code == "NoSuchHostedZone":
        return StaleError("gone", f"{shown}; the zone is read again")
    if code == "InvalidChangeBatch" and _NOT_AS_PLANNED.search(str(refused)):
        return StaleError("changed", f"{shown}; the set is not what the plan was made from")
    if status >= 500 or code in _SERVER:
        return lost(code or str(status), "server", writes, who)
    return RefusedError("plan", f"{shown}; check the service's record, TTL and addresses")


def lost(came: str, code: str, writes: bool, who: str) -> ProviderError:
    """What an answer that says nothing means: for a write the outcome is unknown."""
    if writes:
        return UnknownOutcomeError(code, f"{who}: {came} from Route 53, so it may have happened or not")
    return UnavailableError(code, f"{who}: {came} from Route 53")
