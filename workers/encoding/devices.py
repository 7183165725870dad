"""Where a model is computed: what was asked for, or the fastest that is there."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import PermanentError


@dataclass(frozen=True, kw_only=True)
class Accelerators:
    """What this process can compute on besides the CPU."""

    cuda_devices: int = 0
    mps: bool = False

    @classmethod
    def present(cls) -> Accelerators:
        """What torch finds here."""
        import torch

        cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return cls(cuda_devices=cuda, mps=torch.backends.mps.is_available())

    def choose(self, wanted: str, *, setting: str) -> str:
        """The torch device: `auto` is CUDA, then MPS, then the CPU.

        Raises `PermanentError`, naming the setting that wants it, for a device that is not there.
        """
        if wanted == "auto":
            return "cuda" if self.cuda_devices else "mps" if self.mps else "cpu"
        if not self._has(wanted):
            raise PermanentError(
                f"{setting}={wanted}: there is no such device here ({self._spelled()}); set {setting}=auto or cpu, or "
                "install the driver and the torch build that it needs"
            )
        return wanted

    def _has(self, device: str) -> bool:
        kind, _, number = device.partition(":")
        if kind == "cuda":
            return int(number or 0) < self.cuda_devices
        return kind == "cpu" or self.mps

    def _spelled(self) -> str:
        there = [f"cuda:{number}" for number in range(self.cuda_devices)] + ["mps"] * self.mps
        return f"torch finds {', '.join([*there, 'cpu'])}"
