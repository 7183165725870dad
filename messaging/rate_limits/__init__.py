"""Limits of requests that all gateways keep together."""

from messaging.rate_limits.allowances import Allowances, Left

__all__ = ["Allowances", "Left"]
