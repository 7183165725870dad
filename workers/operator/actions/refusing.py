"""A platform's refusals in the operator's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.platform_errors import (
    InstanceChangedError,
    NotATargetError,
    OutOfBoundsError,
    PlatformBusyError,
    UnknownTargetError,
)
from workers.operator.errors import Refusal, RefusedError


@contextmanager
def platform_refusals() -> Iterator[None]:
    """What the platform refuses in the body, having changed nothing, raises `RefusedError`."""
    try:
        yield
    except NotATargetError as error:
        raise RefusedError(Refusal.FORBIDDEN_TARGET, str(error)) from error
    except UnknownTargetError as error:
        raise RefusedError(Refusal.UNKNOWN_TARGET, str(error)) from error
    except OutOfBoundsError as error:
        raise RefusedError(Refusal.OUT_OF_BOUNDS, str(error)) from error
    except InstanceChangedError as error:
        raise RefusedError(Refusal.CHANGED, str(error)) from error
    except PlatformBusyError as error:
        raise RefusedError(Refusal.BUSY, str(error)) from error
