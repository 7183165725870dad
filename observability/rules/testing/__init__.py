"""Unit tests of rules, in promtool's format."""

from observability.rules.testing.running import TestReport, run

__all__ = ["TestReport", "run"]
