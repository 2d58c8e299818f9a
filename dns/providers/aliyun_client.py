"""Sends one request to AliDNS through the official SDK; what comes of it is a dict or a `ProviderError`.

It decides nothing about records. What it keeps the SDK from: plain HTTP (its default), the environment's
proxies for loopback, writing the key and the signature to a log, and raising bare IndexErrors or errors that
quote the signed URL. Source: aliyun-python-sdk-core 2.16.1, read and run.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aliyunsdkcore.http.http_response as sdk_http
from aliyunsdkalidns.request.v20150109.AddDomainRecordRequest import AddDomainRecordRequest
from aliyunsdkalidns.request.v20150109.DeleteDomainRecordRequest import DeleteDomainRecordRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainRecordsRequest import DescribeDomainRecordsRequest
from aliyunsdkalidns.request.v20150109.DescribeDomainsRequest import DescribeDomainsRequest
from aliyunsdkalidns.request.v20150109.DescribeSubDomainRecordsRequest import DescribeSubDomainRecordsRequest
from aliyunsdkalidns.request.v20150109.SetDNSSLBStatusRequest import SetDNSSLBStatusRequest
from aliyunsdkalidns.request.v20150109.SetDomainRecordStatusRequest import SetDomainRecordStatusRequest
from aliyunsdkalidns.request.v20150109.UpdateDNSSLBWeightRequest import UpdateDNSSLBWeightRequest
from aliyunsdkalidns.request.v20150109.UpdateDomainRecordRemarkRequest import UpdateDomainRecordRemarkRequest
from aliyunsdkalidns.request.v20150109.UpdateDomainRecordRequest import UpdateDomainRecordRequest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type

from dns.errors import ProviderError, RefusedError, SettingsError, UnavailableError, UnknownOutcomeError
from dns.providers.aliyun_errors import error_of

REGION = "cn-hangzhou"
PUBLIC_ENDPOINT = "https://alidns.aliyuncs.com"

_REQUESTS: dict[str, Any] = {
    "AddDomainRecord": AddDomainRecordRequest,
    "UpdateDomainRecord": UpdateDomainRecordRequest,
    "DeleteDomainRecord": DeleteDomainRecordRequest,
    "SetDomainRecordStatus": SetDomainRecordStatusRequest,
    "UpdateDomainRecordRemark": UpdateDomainRecordRemarkRequest,
    "SetDNSSLBStatus": SetDNSSLBStatusRequest,
    "UpdateDNSSLBWeight": UpdateDNSSLBWeightRequest,
    "DescribeDomainRecords": DescribeDomainRecordsRequest,
    "DescribeSubDomainRecords": DescribeSubDomainRecordsRequest,
    "DescribeDomains": DescribeDomainsRequest,
}

# What the SDK's one text for all connection trouble says when not a byte of the request has left.
_NEVER_SENT = ("NewConnectionError", "Failed to establish a new connection", "ConnectTimeoutError")


def quieten_sdk() -> None:
    """Silences the SDK's loggers: with DEBUG=sdk they write the key, and on any error the signed URL."""
    root = logging.getLogger("aliyunsdkcore")
    root.propagate = False
    root.setLevel(logging.CRITICAL + 1)
    for handler in list(sdk_http.logger.handlers):  # the import itself adds one that writes to stderr
        sdk_http.logger.removeHandler(handler)
    sdk_http.logger.setLevel(logging.NOTSET)


quieten_sdk()


class Endpoint:
    """Where AliDNS is, from the configured URL (None: the public one, over HTTPS). Raises SettingsError."""

    def __init__(self, url: str | None) -> None:
        parts = urlsplit(url or PUBLIC_ENDPOINT)
        loopback = _is_loopback(parts.hostname or "")
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
        ):
            raise SettingsError("endpoint", "endpoint is not of the form https://HOST or https://HOST:PORT")
        if parts.username or parts.password:
            raise SettingsError("endpoint", "endpoint must not hold a user or a password")
        if parts.scheme == "http" and not loopback:
            raise SettingsError(
                "endpoint", f"plain http is for tests on loopback; use https://{parts.hostname}"
            )
        self.host = parts.netloc
        # The module's own constants: the SDK compares with `is`; a string built at run time means plain HTTP.
        self.protocol = protocol_type.HTTPS if parts.scheme == "https" else protocol_type.HTTP
        # The SDK reads HTTP_PROXY but not NO_PROXY; a dict that is not empty keeps it from looking.
        direct = loopback or bool(proxy_bypass(parts.hostname))
        self.proxy: dict[str, None] | None = {"http": None, "https": None} if direct else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AliyunClient:
    """One account's connection. `call` sends exactly one request; the SDK repeats nothing."""

    def __init__(
        self, key_id: str, secret: str, endpoint: Endpoint, timeout_seconds: float, connect_seconds: float
    ) -> None:
        quieten_sdk()  # again: whoever set up logging since the import may have woken the SDK's loggers
        self._endpoint = endpoint
        self._sdk = AcsClient(
            key_id,
            secret,
            REGION,
            auto_retry=False,
            timeout=timeout_seconds,
            connect_timeout=connect_seconds,
            proxy=endpoint.proxy,
        )

    def call(self, action: str, parameters: Mapping[str, object], what: str) -> dict[str, Any]:
        """AliDNS's answer. Raises a `ProviderError` that begins with `what` and holds no key or signature.

        What leaves open whether a write happened is an `UnknownOutcomeError`; for a `Describe…` the same
        trouble is an `UnavailableError`, since reading changes nothing.
        """
        writes = not action.startswith("Describe")
        failure: ProviderError
        try:
            return _document(self._sdk.do_action_with_exception(self._request(action, parameters)))
        except ServerException as refused:
            failure = error_of(str(refused.error_code), refused.http_status, writes, what)
        except ClientException as trouble:
            failure = _client_trouble(trouble, writes, what)
        except IndexError:
            # The SDK splits the message of a refused signature at a colon that need not be there.
            failure = error_of("SignatureDoesNotMatch", 400, writes, what)
        except Exception as surprise:  # noqa: BLE001 - the SDK lets anything through
            failure = _lost(
                f"an answer that makes no sense ({type(surprise).__name__})", "garbage", writes, what
            )
        raise failure  # outside the except blocks: the SDK's exceptions quote signed URLs and are not chained

    def _request(self, action: str, parameters: Mapping[str, object]) -> Any:
        request = _REQUESTS[action]()
        request.set_endpoint(self._endpoint.host)
        request.set_protocol_type(self._endpoint.protocol)
        for name, value in parameters.items():
            request.add_query_param(name, value)
        return request

    def close(self) -> None:
        """Closes the kept connections; the next call would open new ones."""
        self._sdk.session.close()


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict) or "RequestId" not in document:
        raise ValueError("not an answer of AliDNS")
    return document


def _client_trouble(trouble: ClientException, writes: bool, what: str) -> ProviderError:
    code = str(trouble.get_error_code())
    if code != "SDK.HttpError":
        return RefusedError("refused", f"{what}: the AliDNS SDK refused the request ({code})")
    text = str(trouble.get_error_msg())
    if any(sign in text for sign in _NEVER_SENT):
        return UnavailableError(
            "unreachable", f"{what}: AliDNS cannot be reached; check network and endpoint"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return UnavailableError("unreachable", f"{what}: the endpoint's TLS certificate is not trusted")
    return _lost("no answer", "no_answer", writes, what)


def _lost(came: str, code: str, writes: bool, what: str) -> ProviderError:
    if writes:
        return UnknownOutcomeError(code, f"{what}: {came} from AliDNS, so it may have happened or not")
    return UnavailableError(code, f"{what}: {came} from AliDNS")
