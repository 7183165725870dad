"""A question whose answer is shown as it comes; used by `ask` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.client import GatewayClient
from cli.replies import Answer, Citation, Delta, Ended, Retrieved


class Shown:
    """The text of an answer that is already on the screen."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._attempt = 0
        self._text = ""

    def piece(self, delta: Delta) -> None:
        """Add a piece. One of a new attempt voids what is shown: it is said so, and begun again."""
        if delta.attempt < self._attempt:
            return
        if delta.attempt > self._attempt and self._text:
            self._screen.print("\n(the worker was lost; answering again)", style="dim")
            self._text = ""
        self._attempt = delta.attempt
        self._text += delta.text
        self._screen.print(delta.text, end="")

    def end(self, answer: Answer) -> None:
        """The end carries the whole answer; it is shown where the pieces did not add up to it."""
        whole = answer.answer or ""
        if not self._text and not whole:
            return
        if self._text.strip() != whole.strip():
            self._screen.print(f"\n{whole}" if self._text else whole, end="")
        self._screen.print()


async def ask_streaming(client: GatewayClient, body: Mapping[str, Any], *, deadline_s: float, shown: Shown) -> Answer:
    """Ask and show the answer piece by piece; returns its end with the passages it rests on."""
    passages: Retrieved | None = None
    async with aclosing(client.stream(body, deadline_s=deadline_s)) as events:
        async for event in events:
            if isinstance(event, Retrieved):
                passages = event
            elif isinstance(event, Delta):
                shown.piece(event)
            else:
                shown.end(event)
                return event.model_copy(update={"passages": passages.passages}) if passages else event
    raise AssertionError("a stream ends with an answer or an error")


def print_citations(screen: Console, answer: Ended) -> None:
    """Where the answer comes from: number, file, page or heading, and the words themselves."""
    for citation in answer.citations:
        screen.print(Text.assemble((f"  [{citation.n}] ", "cyan"), (place(citation), "bold")))
        screen.print(Text(f"      “{' '.join(citation.quote.split())}”", "dim"))


def place(citation: Citation) -> str:
    parts = [citation.name]
    parts += [f"page {citation.page}"] if citation.page else []
    parts += [citation.heading] if citation.heading else []
    return ", ".join(parts)
