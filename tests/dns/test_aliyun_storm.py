"""Whatever AliDNS answers on the way, passes end in what is desired and no reader ever finds the name empty."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dns.core.diff import diff
from dns.core.model import DesiredRecord, DesiredSet, RecordSet
from dns.core.ownership import Ownership
from dns.errors import ProviderError
from tests.dns.alidns_stand import WWW, ZONE, Stand, stand

VALUES = tuple(f"203.0.113.{number}" for number in range(1, 6))
WRITES = (
    "AddDomainRecord",
    "UpdateDomainRecord",
    "DeleteDomainRecord",
    "UpdateDNSSLBWeight",
    "SetDNSSLBStatus",
)

values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique=True)
faults = st.lists(
    st.tuples(
        st.sampled_from(["error", "html", "reset", "lost", "body"]),
        st.sampled_from([*WRITES, "DescribeDomainRecords", "DescribeSubDomainRecords"]),
        st.integers(1, 5),
    ),
    max_size=4,
)


def _pass(ali: Stand, wanted: list[str], ttl: int, weights: list[int]) -> bool:
    """One reconcile pass, as the executor makes it; whether there was nothing left to do."""
    try:
        seen = ali.provider.observe("example.com", frozenset({WWW.name}))
        records = tuple(
            DesiredRecord(value, ttl, weight, ("n",), "r")
            for value, weight in zip(wanted, weights or [None] * 9, strict=False)
        )
        desired = {WWW: DesiredSet("svc", WWW, records, "r")}
        able = ali.provider.capabilities("example.com")
        plan = diff(ZONE, desired, seen, Ownership(frozenset({WWW})), able, "lockstep-storm")
        for operation in plan.operations:
            ali.provider.apply(operation)
        return seen.complete and not plan.operations
    except ProviderError:
        return False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=values,
    disabled=st.integers(0, 1),
    wanted=values,
    ttl=st.sampled_from([600, 1200]),
    weights=st.one_of(st.just([]), st.lists(st.integers(1, 100), min_size=4, max_size=4)),
    trouble=faults,
)
def test_every_pass_comes_closer_and_none_empties_the_name(
    before: list[str],
    disabled: int,
    wanted: list[str],
    ttl: int,
    weights: list[int],
    trouble: list[tuple[str, str, int]],
) -> None:
    with stand() as ali:
        for number, value in enumerate(before):
            status = "DISABLE" if disabled and number == 0 and len(before) > 1 else "ENABLE"
            ali.account.put("www", "A", value, "telecom", status=status)
        empty: list[str] = []

        def reader() -> None:
            if not ali.account.values("www", line="telecom"):
                empty.append(ali.server.requests[-1])

        ali.account.after_write = reader
        for kind, action, times in trouble:
            ali.server.fail(kind, action, times)
        passes = 0
        while not _pass(ali, wanted, ttl, weights):
            passes += 1
            assert passes < 60, ali.server.faults
        assert not empty
        rows = [r for r in ali.account.rows.values() if (r.rr, r.line) == ("www", "telecom")]
        assert sorted((r.value, r.ttl, r.status) for r in rows) == sorted((v, ttl, "ENABLE") for v in wanted)
        if weights:
            by_value = {r.value: r.weight for r in rows}
            assert by_value == dict(zip(wanted, weights, strict=False))
        assert ali.provider.observe("example.com", frozenset({WWW.name})).sets.get(WWW, RecordSet(WWW)).values
