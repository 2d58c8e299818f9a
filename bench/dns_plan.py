"""Measures planning: 1,000 services × 6 lines × 200 nodes, from facts to an empty or a full plan.
Target: below 1 s.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace

from bench.figures import Figure
from dns.core.desired import compute
from dns.core.diff import diff
from dns.core.model import (
    LINES,
    Address,
    Capabilities,
    Desired,
    LinePlan,
    NodeFacts,
    Observed,
    Record,
    RecordKey,
    RecordSet,
    Service,
    ZoneKey,
)
from dns.core.ownership import Entry, decide

SERVICES, NODES = 1000, 200
TARGET_SECONDS = 1.0
ZONE = ZoneKey("p", "example.test")
ABLE = Capabilities(lines=None, line_fallback_to_default=True, ttl_min=1)


def nodes() -> list[NodeFacts]:
    """Nodes with an address each, all fit."""
    return [
        NodeFacts(f"node{n}", True, "", False, (), (Address(f"198.18.{n // 250}.{n % 250 + 1}"),))
        for n in range(NODES)
    ]


def services(seed: int) -> list[Service]:
    """Each line of each service has tiers of its own; default answers with four of all."""
    chance = random.Random(seed)
    names = [f"node{n}" for n in range(NODES)]

    def plan(line: str) -> LinePlan:
        if line == "default":
            return LinePlan(max_answers=4)
        return LinePlan((tuple(chance.sample(names, 2)), tuple(chance.sample(names, 3))))

    return [
        Service(
            f"s{n}",
            "p",
            ZONE.zone,
            f"s{n}",
            ("A",),
            600,
            {line: plan(line) for line in LINES},
            allow_private=True,
        )
        for n in range(SERVICES)
    ]


def standing(desired: Desired) -> tuple[Observed, dict[RecordKey, Entry]]:
    """The provider after the plan, and the ledger."""
    sets = {
        key: RecordSet(key, tuple(Record(r.value, r.ttl, f"{key}{r.value}") for r in wanted.records))
        for key, wanted in desired.of(ZONE).items()
    }
    return Observed(sets), {key: Entry("s", found.records) for key, found in sets.items()}


def one(
    made: list[Service], facts: list[NodeFacts], observed: Observed, ledger: dict[RecordKey, Entry]
) -> tuple[float, int, Desired]:
    """Seconds of one pass without I/O, and how many operations it planned."""
    began = time.perf_counter()
    published = {ZONE: {key: found.values for key, found in observed.sets.items()}}
    desired = compute(made, facts, published, 0.0, {ZONE: ABLE})
    claims = {key: wanted.service for key, wanted in desired.of(ZONE).items()}
    ownership = decide(claims, observed, ledger, ABLE, "lockstep-bench")
    plan = diff(ZONE, desired.of(ZONE), observed, ownership, ABLE, "lockstep-bench")
    return time.perf_counter() - began, len(plan.operations), desired


def passes() -> list[tuple[str, float, int]]:
    """Four passes: what happened before each, its seconds, the operations it planned."""
    made, facts = services(1), nodes()
    rows = []
    first, count, desired = one(made, facts, Observed(), {})
    rows.append(("everything is new", first, count))
    observed, ledger = standing(desired)
    rows.append(("nothing has changed", *one(made, facts, observed, ledger)[:2]))
    sick = [replace(n, fit=False, reason="is dead") if i % 10 == 0 else n for i, n in enumerate(facts)]
    rows.append(("a tenth of the nodes died", *one(made, sick, observed, ledger)[:2]))
    blind = [replace(n, fit=None) for n in facts]
    rows.append(("every node is unknown", *one(made, blind, observed, ledger)[:2]))
    return rows


def measure() -> list[Figure]:
    """The slowest pass against the target of one second."""
    rows = passes()
    notes = tuple(f"{what}: {seconds:.3f} s, {operations} operations" for what, seconds, operations in rows)
    return [
        Figure(
            "dns",
            f"planning {SERVICES} services × {len(LINES)} lines × {NODES} nodes",
            max(seconds for _, seconds, _ in rows),
            TARGET_SECONDS,
            1.0,
            f"the slowest of {len(rows)} passes from facts to plan, without I/O, against {TARGET_SECONDS:g} s",
            notes=notes,
        )
    ]


def main() -> None:
    """Print the seconds of four passes, and each relative to the target of one second."""
    print(f"planning {SERVICES} services × {len(LINES)} lines × {NODES} nodes")
    for what, seconds, operations in passes():
        print(
            f"  {what:28} {seconds:6.3f} s  {operations:6d} operations  {seconds / TARGET_SECONDS:5.2f} of the target"
        )


if __name__ == "__main__":
    main()
