"""Keeps from readers what a document, or a question, may have talked a model into."""

from __future__ import annotations

from collections import Counter

from workers.generate.base import Removed
from workers.generate.chat.link_filter import LinkFilter
from workers.generate.chat.prompting import Conversation
from workers.generate.chat.told import ToldFilter


class OutputGuard:
    """Takes out of an answer links that no cited passage holds and HTML that does something, and ends it where it repeats
    the instructions.

    What comes out is the same however the text comes in; it holds nothing that did not come in, in the same order.
    Text is held back only while it may become one of these.
    """

    def __init__(self, conversation: Conversation) -> None:
        instructions, *told = conversation.messages
        self._links = LinkFilter(conversation.passages)
        self._told = ToldFilter(instructions.content, public=lambda: "\n".join(message.content for message in told))

    @property
    def ended(self) -> bool:
        """Whether the answer was ended for what it repeats: nothing more of it is shown."""
        return self._told.ended

    @property
    def removed(self) -> Counter[Removed]:
        """How much was taken out so far, by what it was."""
        return self._links.removed + Counter({Removed.PROMPT: int(self.ended)})

    def feed(self, text: str) -> str:
        """What can be shown now that `text` has come."""
        return self._told.feed(self._links.feed(text))

    def finish(self) -> str:
        """What was held back to the end, if it may be shown."""
        return self._told.feed(self._links.finish()) + self._told.finish()
