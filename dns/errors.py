"""The errors of the DNS half, as a tree. At a boundary they carry `permanent`; nothing here acts upon one.

DnsError
├── SettingsError             a provider's settings cannot work: known when the configuration is checked
└── ProviderError             an operation or a reading failed
    ├── RefusedError          permanent: trying again changes nothing until a person mends something
    ├── UnavailableError      the request certainly had no effect: try again later
    ├── UnknownOutcomeError   it may have had its effect: read again, never send it again blindly
    └── StaleError            what stands is not what the plan was made from: read and plan anew
"""

from __future__ import annotations


class DnsError(Exception):
    """The base of every error of the DNS half. Its text is for people: what failed, on what, what to do
    next.
    """


class SettingsError(DnsError):
    """A provider's settings cannot work; `key` is the offending key below the provider, empty for the whole."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class ProviderError(DnsError):
    """A provider's refusal or failure.

    `code` is a short word from a bounded set (it becomes a metric's label: no names, addresses or
    messages); `permanent` is the whole retry policy; `retry_after_seconds` a provider's own wish, None
    when it has none.
    """

    permanent = False
    outcome_unknown = False

    def __init__(self, code: str, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class RefusedError(ProviderError):
    """Credentials, rights, configuration or quota: it had no effect and will not have any until mended."""

    permanent = True


class UnavailableError(ProviderError):
    """Not reached, throttled or busy: it certainly had no effect. Try again, with back-off."""


class UnknownOutcomeError(ProviderError):
    """The answer was lost or made no sense: it may have happened. Read again before anything else."""

    outcome_unknown = True


class StaleError(ProviderError):
    """The provider holds something else than the operation expected; it had no effect. Read and plan anew."""
