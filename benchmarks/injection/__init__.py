"""Prompt injection: a set of cases, an oracle, and how often each generator is led astray."""

from benchmarks.injection.cases import Case, load, prompt_of
from benchmarks.injection.hostile import HostileModel, obedient
from benchmarks.injection.oracle import Verdict, judge, links

__all__ = ["Case", "HostileModel", "Verdict", "judge", "links", "load", "obedient", "prompt_of"]
