"""`waggle rules check|test|ls|put|rm`: are rule files right, do they do what their tests say, and which are in force."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exits import CommandError, Exit
from cli.output import Json, console, counted, messages, print_json
from cli.rule_tables import are_well, faults_of, rules_table
from cli.target import gateway
from contracts.alert_views import RulesView
from observability import rules as rule_files
from observability.rules import testing

app = typer.Typer()
rules = typer.Typer(
    no_args_is_help=True, help="Prometheus rules: check files, run their unit tests, list, put in force and remove."
)
app.add_typer(rules, name="rules")

Files = Annotated[list[Path], typer.Argument(help="Files, as many as you like.", metavar="FILE...")]


@rules.command("check")
def check(files: Files, as_json: Json = False) -> None:
    """Read rule files as the observer would: fields, expressions, templates. Nothing is evaluated.

    Exit code 1 when a file would be refused.
    """
    reports = [_checked(file) for file in files]
    _report(reports, as_json, failing="would be refused")


@rules.command("test")
def run_tests(files: Files, as_json: Json = False) -> None:
    """Run unit tests of rules: files in the format of `promtool test rules`.

    Exit code 1 when a test fails, or a file of tests or rules is faulty.
    """
    reports = [_tested(file) for file in files]
    _report(reports, as_json, failing="failed")


@rules.command("ls")
def ls(as_json: Json = False) -> None:
    """List the rules in force. Exit code 1 when one could not be evaluated, or a file was refused."""
    found = asyncio.run(_rules())
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console().print(rules_table(found) if found.groups else "No rules.")
        for fault in faults_of(found):
            messages().print(f"Refused: {fault}", style="red")
    raise typer.Exit(Exit.OK if are_well(found) else Exit.FAILED)


@rules.command("put")
def put(
    name: Annotated[str, typer.Argument(help="What they are called: letters, digits, - and _.")],
    file: Annotated[Path, typer.Argument(help="The rule file.", exists=True, dir_okay=False, readable=True)],
    as_json: Json = False,
) -> None:
    """Put the rules of a file in force for all observers, in place of those of that name. Faulty ones change nothing."""
    try:
        groups = rule_files.load(file)
    except rule_files.RuleFileError as error:
        raise CommandError(f"nothing was changed:\n{error}", code=Exit.USAGE) from None
    asyncio.run(_put(name, file.read_text(encoding="utf-8")))
    if as_json:
        print_json({"name": name, "groups": len(groups), "rules": sum(len(group.rules) for group in groups)})
    else:
        console().print(f"{counted(sum(len(group.rules) for group in groups), 'rule')} in force as {name}.")


@rules.command("rm")
def rm(name: Annotated[str, typer.Argument(help="What they were called.")], as_json: Json = False) -> None:
    """Have rules that were put in force be so no more; their alerts end."""
    asyncio.run(_removed(name))
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        console().print(f"{name} is in force no more.")


async def _put(name: str, text: str) -> None:
    async with gateway() as client:
        await client.put_rules(name, text)


async def _removed(name: str) -> None:
    async with gateway() as client:
        await client.remove_rules(name)


async def _rules() -> RulesView:
    async with gateway() as client:
        return await client.rules()


def _checked(file: Path) -> dict[str, Any]:
    try:
        groups = rule_files.load(file)
    except rule_files.RuleFileError as error:
        return _faulty(file, error)
    return {"file": str(file), "ok": True, "groups": len(groups), "rules": sum(len(group.rules) for group in groups)}


def _tested(file: Path) -> dict[str, Any]:
    try:
        report = testing.run(file)
    except rule_files.RuleFileError as error:
        return _faulty(file, error)
    return {"file": str(file), "ok": not report.failures, "tests": report.tests, "failures": list(report.failures)}


def _faulty(file: Path, error: rule_files.RuleFileError) -> dict[str, Any]:
    faults = [{"file": fault.file, "line": fault.line, "reason": fault.reason} for fault in error.faults]
    return {"file": str(file), "ok": False, "faults": faults}


def _report(reports: list[dict[str, Any]], as_json: bool, *, failing: str) -> None:
    bad = [report for report in reports if not report["ok"]]
    if as_json:
        print_json({"ok": not bad, "files": reports})
    else:
        for report in reports:
            _say(report)
    if bad:
        raise CommandError(f"{counted(len(bad), 'file')} of {len(reports)} {failing}", code=Exit.FAILED)


def _say(report: dict[str, Any]) -> None:
    for fault in report.get("faults", ()):
        messages().print(f"{fault['file']}:{fault['line']}: {fault['reason']}")
    for failure in report.get("failures", ()):
        messages().print(f"{report['file']}: {failure}")
    if report["ok"] and "tests" in report:
        console().print(f"{report['file']}: {counted(report['tests'], 'test')} passed")
    elif report["ok"]:
        console().print(f"{report['file']}: {counted(report['groups'], 'group')}, {counted(report['rules'], 'rule')}")
