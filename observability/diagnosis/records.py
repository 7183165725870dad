"""How episodes of causes are stored, so that another observer goes on with them."""

from __future__ import annotations

from pydantic import AwareDatetime

from contracts.diagnoses import Diagnosis, EpisodeView
from contracts.message import Message


class EpisodeRecord(Message):
    """One time that a cause was there. `ended_at` is when it was last found, once it has stayed away."""

    began_at: AwareDatetime
    last_seen_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    diagnosis: Diagnosis

    @property
    def key(self) -> str:
        """Where it is stored."""
        return f"{self.diagnosis.fingerprint}-{round(1000 * self.began_at.timestamp())}"

    def view(self) -> EpisodeView:
        return EpisodeView(
            began_at=self.began_at, last_seen_at=self.last_seen_at, ended_at=self.ended_at, diagnosis=self.diagnosis
        )
