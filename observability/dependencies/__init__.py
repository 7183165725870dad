"""Which component needs which others: what fails because of what."""

from observability.dependencies.fleet import fleet_graph, known_services
from observability.dependencies.graph import DependencyGraph

__all__ = ["DependencyGraph", "fleet_graph", "known_services"]
