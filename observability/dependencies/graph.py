"""Components and what they need."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property


class DependencyGraph:
    """A directed graph from each component to those that it cannot work without. It may have cycles.

    `needs` gives the direct needs of each component; what is only needed is a component, too. `aliases` are other names of
    components, such as that of a queue for the service which reads it. The graph never changes.
    """

    def __init__(self, needs: Mapping[str, Collection[str]], *, aliases: Mapping[str, str] | None = None) -> None:
        named = {*needs, *(need for each in needs.values() for need in each)}
        self._needs = {name: tuple(sorted(set(needs.get(name, ())) - {name})) for name in sorted(named)}
        self._aliases = {name: target for name, target in (aliases or {}).items() if name not in self._needs}

    @property
    def components(self) -> tuple[str, ...]:
        """All of them, by name."""
        return tuple(self._needs)

    def needs(self, component: str) -> tuple[str, ...]:
        """What a component uses itself; nothing for one that is not known."""
        return self._needs.get(component, ())

    def needed_by(self, component: str) -> tuple[str, ...]:
        """Who uses a component itself."""
        return tuple(name for name, needs in self._needs.items() if component in needs)

    def named(self, name: str) -> str:
        """The component that a name stands for: itself, unless it is an alias."""
        return self._aliases.get(name, name)

    def all_needs(self, component: str) -> frozenset[str]:
        """What a component needs, however far away. In a cycle it needs itself."""
        return self._reached.get(component, frozenset())

    def roots(self, failing: Collection[str]) -> frozenset[str]:
        """The failing ones none of whose needs fails, however deep. Those that need each other in a circle stand for one
        another: if nothing else that they need fails, all of them are roots.
        """
        failed = frozenset(failing)
        return frozenset(
            name for name in failed if all(self._is_mutual(name, other) for other in self._of(name, failed))
        )

    def impacted(self, failing: Collection[str]) -> dict[str, frozenset[str]]:
        """The components that suffer from roots of `failing`, and from which. Roots themselves are not among them."""
        roots = self.roots(failing)
        suffering = {name: self.all_needs(name) & roots for name in self._needs if name not in roots}
        return {name: causes for name, causes in suffering.items() if causes}

    def _of(self, component: str, failed: frozenset[str]) -> frozenset[str]:
        return (self.all_needs(component) & failed) - {component}

    def _is_mutual(self, component: str, other: str) -> bool:
        return component in self.all_needs(other)

    @cached_property
    def _reached(self) -> dict[str, frozenset[str]]:
        return {name: self._reachable(name) for name in self._needs}

    def _reachable(self, start: str) -> frozenset[str]:
        found = set[str]()
        left = list(self._needs[start])
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._needs[name]
        return frozenset(found)
