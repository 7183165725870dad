"""What others have written cannot steer a terminal."""

from __future__ import annotations

import io

from rich.text import Text

from cli.output import HarmlessConsole, table


def test_control_characters_of_others_are_not_obeyed() -> None:
    written = io.StringIO()
    rows = table("label")
    rows.add_row("a\x1b[2Jb")
    rows.add_row(Text("c\x9b31md", "red"))

    HarmlessConsole(file=written, markup=False, width=80, force_terminal=True, color_system="standard").print(rows)

    assert "a[2Jb" in written.getvalue()
    assert "\x1b[31mc31md" in written.getvalue(), "our own colours stay"
