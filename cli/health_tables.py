"""What people are shown of the fleet's health and of the dependency graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cli.figure_tables import number
from cli.moments import shown
from cli.output import ago, table
from contracts.component_health import (
    WHOLE,
    ComponentHealth,
    DependenciesView,
    Dependency,
    HealthChange,
    HealthStatus,
    HealthView,
)

STYLES: Mapping[HealthStatus, str] = {
    HealthStatus.HEALTHY: "green",
    HealthStatus.DEGRADED: "yellow",
    HealthStatus.UNHEALTHY: "bold red",
    HealthStatus.UNKNOWN: "dim",
}
WHOLE_FLEET = "(all)"


def components_table(health: HealthView) -> RenderableType:
    """The whole fleet in a line, then a row for each component and one for each instance that is the reason."""
    rows = table("component", "kind", "health", "latency", "since", "detail", right=frozenset({"latency"}))
    for component in health.components:
        rows.add_row(
            component.name,
            component.kind.value if component.required else f"{component.kind.value}, optional",
            status_text(component.status),
            _latency(component.latency_ms),
            ago(component.since),
            _detail(component),
        )
        for instance in component.instances:
            if instance.status not in {HealthStatus.HEALTHY, component.status} or _is_reason(
                component, instance.status
            ):
                rows.add_row(
                    f"  {instance.instance}",
                    "",
                    status_text(instance.status),
                    _latency(instance.latency_ms),
                    ago(instance.since),
                    instance.detail,
                )
    head = Text.assemble("fleet: ", status_text(health.status), f" ({health.detail})" if health.detail else "")
    return Group(head, rows)


def changes_table(changes: Iterable[HealthChange]) -> Table:
    """What changed, in the order given."""
    rows = table("when", "component", "before", "after")
    for change in changes:
        name = WHOLE_FLEET if change.component == WHOLE else change.component
        rows.add_row(shown(change.at), name, status_text(change.before), status_text(change.after))
    return rows


def dependency_tree(graph: DependenciesView) -> RenderableType:
    """From those that nobody needs down to those that need nothing. What was shown before is not unfolded again."""
    items = {item.component: item for item in graph.items}
    unfolded = set[str]()
    tops = [item.component for item in graph.items if not item.needed_by]
    trees = [_tree(items, name, unfolded) for name in tops]
    trees += [_tree(items, name, unfolded) for name in items if name not in unfolded]  # circles that nobody else needs
    return Group(*trees) if trees else Text("No components.")


def mermaid(graph: DependenciesView) -> str:
    """A flow chart: an arrow from each component to what it needs."""
    lines = ["graph TD"]
    for item in graph.items:
        lines.append(f"  {_node(item.component)}[{_quoted(item.component)}]:::{item.status.value}")
        lines += [f"  {_node(item.component)} --> {_node(need)}" for need in item.needs]
    lines += [
        "  classDef healthy stroke:#2e7d32",
        "  classDef degraded stroke:#f9a825",
        "  classDef unhealthy stroke:#c62828,stroke-width:3px",
        "  classDef unknown stroke-dasharray:4",
    ]
    return "\n".join(lines)


def status_text(status: HealthStatus) -> Text:
    return Text(status.value, STYLES[status])


def _tree(items: Mapping[str, Dependency], top: str, unfolded: set[str]) -> Tree:
    tree = Tree(_label(items, top))
    left = [(tree, top)]
    unfolded.add(top)
    while left:
        branch, name = left.pop(0)
        for need in items[name].needs:
            known = need in unfolded and bool(need in items and items[need].needs)
            child = branch.add(Text.assemble(_label(items, need), (" …", "dim") if known else ""))
            if need in items and need not in unfolded:
                unfolded.add(need)
                left.append((child, need))
    return tree


def _label(items: Mapping[str, Dependency], name: str) -> Text:
    status = items[name].status if name in items else HealthStatus.UNKNOWN
    return Text.assemble(name, " ", status_text(status))


def _node(name: str) -> str:
    """A name that Mermaid takes as an identifier."""
    return "c_" + "".join(each if each.isascii() and each.isalnum() else f"_{ord(each):x}_" for each in name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', "#quot;") + '"'


def _is_reason(component: ComponentHealth, status: HealthStatus) -> bool:
    return component.status is status and status in {HealthStatus.DEGRADED, HealthStatus.UNHEALTHY}


def _detail(component: ComponentHealth) -> str:
    suffers = f"suffers from {', '.join(component.impacted_by)}" if component.impacted_by else ""
    return "; ".join(filter(None, (component.detail, suffers)))


def _latency(latency_ms: float | None) -> str:
    return "" if latency_ms is None else number(latency_ms / 1000, "s")
