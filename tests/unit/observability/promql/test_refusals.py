"""What is refused when it is parsed, and how it is called."""

from __future__ import annotations

from contextlib import suppress

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.promql import ExpressionError, UnsupportedError, parse
from observability.promql.bounds import MOST_CHARACTERS, MOST_OPERATORS
from observability.promql.query import MOST_DEEP


@pytest.mark.parametrize(
    ("expression", "construct"),
    [
        ("max_over_time(x[5m:1m])", "the subquery x[5m:1m]"),
        ("x[5m]", "the range vector x[5m]"),
        ('count_values("v", x)', "the aggregation count_values"),
        ("limitk(1, x)", "the aggregation limitk"),
        ("sqrt(x)", "the function sqrt()"),
        ("label_join(x, 'a', '-', 'b')", "the function label_join()"),
        ("x atan2 y", "the operator atan2"),
        ("x + fill(0) y", "the modifier fill"),
        ('x{a="1" or b="2"}', "`or` between the matchers"),
        ("x @ -5", "the modifier @"),
        ('"text"', 'the string "text"'),
    ],
)
def test_what_is_outside_the_subset_is_called_by_its_name(expression: str, construct: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        parse(expression)

    assert raised.value.construct.startswith(construct)
    assert raised.value.expression == expression
    assert "docs/rules.md" in str(raised.value)


@pytest.mark.parametrize(
    "expression",
    ["", "x +", "sum(x", "nosuch(x)", "rate(x)", "1 > 2", "x and 1", 'x{a=~"("}', 'x{a=~"(?=b)"}', "{}", "x{a}",
     'label_replace(x, "", "b", "c", ".*")', 'label_replace(x, "a", "b", "c", "(")', "x + on(a) group_left(a) y"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse(expression)

    assert raised.value.expression == expression


@pytest.mark.parametrize("nested", ["(" * 200 + "x" + ")" * 200, "x" + " + x" * 200, "abs(" * 200 + "x" + ")" * 200])
def test_what_is_nested_too_deeply_is_refused_before_it_is_evaluated(nested: str) -> None:
    if nested.startswith("(("):
        parse(nested)  # parentheses cost nothing once they are read
        return
    with pytest.raises(ExpressionError, match=f"more than {MOST_DEEP} deep"):
        parse(nested)


def test_what_is_too_long_is_refused_unread() -> None:
    with pytest.raises(ExpressionError, match="characters"):
        parse("x" * (MOST_CHARACTERS + 1))


@pytest.mark.parametrize(
    "expression",
    ["-" * 8000 + "x", "x" + " ^ x" * 1000, "x" + " OR x" * 1000, "x" + "==x" * 1000, "(" * 4000 + "x" + ")" * 4000,
     "abs(" * 1000 + "x" + ")" * 1000],
)  # fmt: skip
def test_what_the_parser_would_take_seconds_for_is_refused_unread(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It holds the interpreter's lock meanwhile: an observer would be taken for dead.
    monkeypatch.setattr(promql_parser, "parse", lambda _: pytest.fail("it was parsed"))

    with pytest.raises(ExpressionError, match="operators and parentheses"):
        parse(expression)


def test_operators_in_literals_and_comments_do_not_count() -> None:
    many = "-" * (MOST_OPERATORS + 1)

    parse(f"""x{{a="\\"{many}", b='\\'{many}', c=`{many}`}} # {many}""")


WORDS = st.sampled_from(
    ["x", "{", "}", "[", "]", "(", ")", "5m", "offset", "@", "-", "1e9", "by", "on", "sum", "rate", "a", '"b"', "=", "=~", ",",
     ":", "bool", ">", "and", "group_left", "NaN", "start()", "#", "\n", "'", "é", "1", "0x", "^", "without", "topk", "clamp"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        assert parse(text).text == text


def test_a_parser_that_gives_up_is_a_refusal_and_not_the_end_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # its name in PyO3
        pass

    def panic(_: str) -> None:
        raise PanicException("called `Result::unwrap()` on an `Err` value")

    monkeypatch.setattr(promql_parser, "parse", panic)

    with pytest.raises(ExpressionError, match="cannot take"):
        parse("x")


def test_exponents_of_numbers_are_no_operators() -> None:
    terms = MOST_OPERATORS // 4
    assert 4 * terms < MOST_OPERATORS + 4 <= 5 * terms
    parse("+".join(["(-x*1e-06)"] * terms))
