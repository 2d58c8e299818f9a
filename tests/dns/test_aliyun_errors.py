"""What each of AliDNS's codes comes to, through the real SDK: kind, permanence and a remedy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.aliyun_errors import MEANINGS, error_of, meaning_of
from tests.dns.alidns_stand import A, Stand, stand


@pytest.fixture
def ali() -> Iterator[Stand]:
    with stand() as found:
        yield found


CODES = [
    (404, "InvalidAccessKeyId.NotFound", RefusedError, "credentials"),
    (400, "InvalidAccessKeyId.Inactive", RefusedError, "credentials"),
    (400, "SignatureDoesNotMatch", RefusedError, "credentials"),
    (403, "SignatureDoesNotMatch", RefusedError, "credentials"),
    (400, "IncompleteSignature", UnavailableError, "stale_sign"),
    (400, "SignatureNonceUsed", UnavailableError, "stale_sign"),
    (400, "InvalidTimeStamp.Expired", RefusedError, "clock"),
    (400, "InvalidTimeStamp.Format", RefusedError, "clock"),
    (403, "Forbidden.RAM", RefusedError, "rights"),
    (403, "Forbidden.NotHouseOwner", RefusedError, "rights"),
    (403, "Forbidden", RefusedError, "rights"),
    (400, "InvalidDomainName.NoExist", RefusedError, "zone"),
    (400, "IncorrectDomainUser", RefusedError, "zone"),
    (400, "DomainRecordConflict", RefusedError, "conflict"),
    (400, "DomainRecordLocked", RefusedError, "blocked"),
    (400, "DomainForbidden", RefusedError, "blocked"),
    (400, "RecordForbidden.BlackHole", RefusedError, "blocked"),
    (400, "RecordForbidden.DNSChange", RefusedError, "blocked"),
    (400, "QuotaExceeded.ARecord", RefusedError, "quota"),
    (400, "QuotaExceeded.Record", RefusedError, "quota"),
    (400, "QuotaExceeded.TTL", RefusedError, "quota"),
    (400, "QuotaExceeded.HttpDNS", RefusedError, "quota"),
    (400, "SubDomainInvalid.Line", RefusedError, "plan"),
    (400, "SubDomainInvalid.TTL", RefusedError, "plan"),
    (400, "SubDomainInvalid.Type", RefusedError, "plan"),
    (400, "SubDomainInvalid.Value", RefusedError, "plan"),
    (400, "InvalidRR.Format", RefusedError, "plan"),
    (400, "MissingRR", RefusedError, "plan"),
    (400, "InvalidParameter", RefusedError, "plan"),
    (400, "LastOperationNotFinished", UnavailableError, "busy"),
    (400, "Throttling", UnavailableError, "throttled"),
    (400, "Throttling.User", UnavailableError, "throttled"),
    (400, "Throttling.Api", UnavailableError, "throttled"),
    (429, "SomethingNew", UnavailableError, "throttled"),
    (500, "InternalError", UnknownOutcomeError, "server"),
    (503, "ServiceUnavailable", UnknownOutcomeError, "server"),
    (504, "SomethingNew", UnknownOutcomeError, "server"),
    (400, "SomethingNew", RefusedError, "refused"),
    (403, "SomethingNew", RefusedError, "rights"),
]


@pytest.mark.parametrize(("http", "code", "expected", "kind"), CODES)
def test_a_refused_write_says_what_it_was_and_what_to_do(
    ali: Stand, http: int, code: str, expected: type[ProviderError], kind: str
) -> None:
    ali.server.fail("error", "AddDomainRecord", times=99, http=http, code=code, message="m: m")
    try:
        with pytest.raises(ProviderError) as failure:
            ali.add(A)
    finally:
        ali.server.faults.clear()
    error = failure.value
    assert (type(error), error.code) == (expected, kind)
    assert error.permanent is (expected is RefusedError)
    assert str(error).startswith("ali: add www.example.com A (telecom): AliDNS answered ")
    assert len(str(error).partition("; ")[2] or str(error)) > 10


@pytest.mark.parametrize("code", ["DomainRecordNotBelongToUser", "InvalidRR.NoExist"])
def test_what_is_gone_is_gone(code: str) -> None:
    assert isinstance(error_of(code, 400, writes=True, what="w"), StaleError)


@pytest.mark.parametrize(("http", "code"), [(500, "InternalError"), (503, "ServiceUnavailable"), (502, "x")])
def test_trouble_of_theirs_leaves_a_write_open_and_a_read_unavailable(http: int, code: str) -> None:
    assert isinstance(error_of(code, http, writes=True, what="w"), UnknownOutcomeError)
    assert isinstance(error_of(code, http, writes=False, what="w"), UnavailableError)


@given(st.text(max_size=200), st.one_of(st.none(), st.integers(100, 599)), st.booleans())
def test_any_code_whatever_becomes_an_error_with_a_bounded_kind(
    code: str, http: int | None, writes: bool
) -> None:
    error = error_of(code, http, writes, "who: what")
    assert error.code.replace("_", "").isalpha()
    assert str(error).startswith("who: what")
    assert "\n" not in str(error)


def test_every_meaning_says_what_to_do() -> None:
    for code, meaning in MEANINGS.items():
        assert meaning.remedy, code
        assert meaning_of(code, 400) == meaning
