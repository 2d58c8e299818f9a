"""The probes: what is asked of a node to know its health. This file only says what the package offers."""

from sync.probes.probe import CannotObserve, Probe, ProbeSpec, ProbeTarget
from sync.probes.registry import PROBES, make_probe
from sync.probes.series import Notices, ProbeSeries

__all__ = [
    "PROBES",
    "CannotObserve",
    "Notices",
    "Probe",
    "ProbeSeries",
    "ProbeSpec",
    "ProbeTarget",
    "make_probe",
]
