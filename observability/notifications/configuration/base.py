"""What all parts of the file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from contracts.identifiers import TOKEN

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]*$")]
ChannelName = Annotated[str, StringConstraints(pattern=rf"^{TOKEN.pattern}$")]
"""A token, since it is part of a subject."""


class Part(BaseModel):
    """An immutable part of the file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
