"""The table of docs/nats-users.md, written from the users themselves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from deploy.nats.user import User
from deploy.nats.users import PLATFORM, asker, publisher

BEGIN: Final = "<!-- users: written by `make docs` -->\n"
END: Final = "<!-- end of users -->\n"
_HEAD: Final = "| why | publishes | subscribes to |\n| --- | --- | --- |\n"


def page(before: str) -> str:
    """The page with its table as the users are. Raises `ValueError` when the marks are not there."""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN.strip()} and {END.strip()}: put them where the table belongs")
    return head + begin + table() + end + tail


def table() -> str:
    """One part for each user: its grants, each with the reason."""
    return "".join(_part(user) for user in (*PLATFORM, publisher("TENANT"), asker("TENANT")))


def _part(user: User) -> str:
    rows = [_row(grant.why, grant.publish, grant.subscribe) for grant in user.grants]
    rows += [_row(f"Never: {grant.why}", grant.publish, grant.subscribe) for grant in user.denied]
    return f"\n### {user.name}\n\n{user.why}\n\n{_HEAD}{''.join(rows)}\n"


def _row(why: str, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> str:
    return f"| {why} | {_listed(publish)} | {_listed(subscribe)} |\n"


def _listed(subjects: tuple[str, ...]) -> str:
    return ", ".join(f"`{subject}`" for subject in subjects)


def main() -> None:
    """Write the table into the page that is named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
