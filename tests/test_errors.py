"""Errors: ids, exit codes, and the anatomy of a message."""

from __future__ import annotations

import ast
import pickle
import re
import tomllib
from pathlib import Path

import pytest

from batchscore import errors
from batchscore.cli.help import sections_of
from batchscore.errors import (
    ERROR_IDS,
    BatchscoreError,
    RefusedError,
    StoppedError,
    as_out_of_memory,
    first_line,
    format_list,
    reason_of,
    shorten,
)

EXIT_CODES = {
    "UsageError": 2,
    "InputError": 3,
    "ModelError": 4,
    "OutputError": 5,
    "RefusedError": 6,
    "OutOfMemoryError": 7,
    "TryLaterError": 75,
}


def test_every_class_has_the_exit_code_of_the_table():
    found = {name: kind.exit_code for name, kind in vars(errors).items() if name in EXIT_CODES}
    assert found == EXIT_CODES
    subclasses = {kind.__name__ for kind in BatchscoreError.__subclasses__() if kind.__module__ == errors.__name__}
    assert subclasses == set(EXIT_CODES)


def test_a_message_says_what_where_found_expected_and_the_next_step():
    error = RefusedError(
        "E-UNKNOWN-USERS", "60 of 100 distinct users are unknown", where="a.parquet", found=60, expected="50 %",
        details=["such as 'u1'"], next_step="check --user-column",
    )  # fmt: skip
    assert str(error) == (
        "E-UNKNOWN-USERS: 60 of 100 distinct users are unknown\n"
        "  where:    a.parquet\n"
        "  found:    60\n"
        "  expected: 50 %\n"
        "    such as 'u1'\n"
        "  next:     check --user-column"
    )
    assert (error.error_id, error.exit_code, error.report) == ("E-UNKNOWN-USERS", 6, None)


def test_what_is_not_told_has_no_line():
    assert str(RefusedError("E-BUG", "w", next_step="n", found=0)) == "E-BUG: w\n  found:    0\n  next:     n"


def test_an_id_that_is_not_listed_cannot_be_raised():
    with pytest.raises(KeyError, match="E-NO-SUCH"):
        RefusedError("E-NO-SUCH", "what", next_step="n")


def test_every_id_has_one_line_of_explanation():
    for error_id, line in ERROR_IDS.items():
        assert error_id.startswith("E-")
        assert error_id == error_id.upper()
        assert line
        assert "\n" not in line


def test_an_error_survives_the_way_to_another_process():
    error = RefusedError("E-UNKNOWN-USERS", "what", found="f", details=["d"], next_step="n")
    error.report = {"rows": 1}
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is RefusedError
    assert (str(copy), copy.error_id, copy.what, copy.report) == (
        str(error),
        "E-UNKNOWN-USERS",
        "what",
        {"rows": 1},
    )


def test_a_stop_is_no_ordinary_error_and_exits_as_shells_expect():
    stop = StoppedError(15)
    assert not isinstance(stop, Exception)
    assert (stop.exit_code, stop.error_id, stop.report) == (143, "E-STOPPED", None)
    assert "signal 15" in str(stop)


def test_lists_in_messages_are_short():
    assert format_list([]) == "none"
    assert format_list(map(str, range(30))).endswith(", 28, 29")
    assert format_list(map(str, range(31))).endswith(", 28, 29, and 1 more")
    assert (shorten("x" * 60), shorten("x" * 61)) == ("x" * 60, "x" * 57 + "...")


class PanicException(BaseException):
    """What a panic in polars raises."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        SystemError("error return without exception set"),
        SystemError("<function _find_and_load> returned NULL without setting an exception"),
        NameError("name 'PySeries' is not defined", name="PySeries"),
        PanicException("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)"),
    ],
)
def test_what_says_that_memory_ran_out_is_no_bug(error):
    shortage = as_out_of_memory(error)
    assert (shortage.error_id, shortage.exit_code) == ("E-MEMORY", 7)
    assert str(error) in str(shortage)


@pytest.mark.parametrize(
    "error",
    [
        ImportError("no module"),
        RuntimeError("bug"),
        SystemError("bad argument"),
        NameError("name 'rows' is not defined", name="rows"),
        ValueError("cannot allocate memory"),
        PanicException("index out of bounds"),
        BlockingIOError(11, "Resource temporarily unavailable"),
        StoppedError(15),
    ],
)
def test_any_other_error_is_itself(error):
    assert as_out_of_memory(error) is None


def test_a_limit_of_the_address_space_is_named(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (3 * 2**30, 3 * 2**30))
    told = str(as_out_of_memory(MemoryError("std::bad_alloc")))
    assert "found:    std::bad_alloc; the address space is limited to 3,072 MiB (ulimit -v)" in told


def test_the_first_line_of_what_a_library_says():
    assert first_line("\n indices[0] = 9\n\t [[{{node GatherV2}}]]") == "indices[0] = 9"
    assert first_line(ValueError("first\nsecond")) == "first"
    assert len(first_line("x" * 999)) == 300


def test_one_who_says_nothing_is_named():
    assert first_line(" \n") == "no message"
    assert first_line(RuntimeError()) == "RuntimeError"


def test_the_reason_of_an_error_is_what_the_operating_system_says():
    assert reason_of(OSError(2, "No such file or directory", "a")) == "No such file or directory"
    assert reason_of(OSError("damaged\nfile")) == "damaged"
    assert reason_of(OSError()) == "OSError"


# the examples in docs/errors.md

PACKAGE = Path(errors.__file__).parent
_ENOUGH = 18
"""Characters that code and message have in common, or half of a message."""


def texts_of(tree):
    """Each string of a source file, as its parts between what is filled in; no docstrings, no meanings of ids."""
    documents = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    documents |= {node for listed in ast.walk(tree) if isinstance(listed, ast.AnnAssign)
                  and ast.unparse(listed.target) == "ERROR_IDS" for node in ast.walk(listed)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield tuple(part.value if isinstance(part, ast.Constant) else "" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documents:
            yield (node.value,)


@pytest.fixture(scope="module")
def texts():
    return {text for path in PACKAGE.rglob("*.py") for text in texts_of(ast.parse(path.read_text("utf-8")))}


def prints(text, message):
    """Whether the text is what the message begins with, or a part of it that follows a mark."""
    own = len("".join(text))
    if own < min(_ENOUGH, len(message) / 2) or not all(part in message for part in text):
        return False
    pattern = "".join(re.escape(part) or ".+?" for part in text)
    return re.search(f"(^|[;:,] ){pattern}", message) is not None


GOLDEN = {
    facts["message"].strip().replace("<folder>", "/data"): facts["error_id"]
    for path in (Path(__file__).parent / "golden").glob("*/expected.toml")
    if "message" in (facts := tomllib.loads(path.read_text("utf-8")))
}


def example_of(error_id):
    """The lines of the example in the manual."""
    section = sections_of((PACKAGE / "docs" / "errors.md").read_text("utf-8"))[error_id]
    return section.partition("**Example.**\n\n```\n")[2].partition("\n```\n")[0].splitlines()


@pytest.mark.parametrize("error_id", sorted(ERROR_IDS.keys() - set(GOLDEN.values())))
def test_the_example_of_the_manual_is_what_the_code_prints(error_id, texts):
    """If this fails, a message was changed: change its example in docs/errors.md too."""
    lines = example_of(error_id)
    told = [lines[0].removeprefix(f"{error_id}: "), *(line[12:] for line in lines if line.startswith("  next:"))]
    if error_id in ("E-BUG", "E-STOPPED"):
        told[0] = lines[0]
    assert [message for message in told if not any(prints(text, message) for text in texts)] == []


@pytest.mark.parametrize("error_id", sorted(set(GOLDEN.values())))
def test_the_example_of_the_manual_is_that_of_a_golden_case_where_there_is_one(error_id):
    assert "\n".join(example_of(error_id)) in GOLDEN
