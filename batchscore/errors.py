"""Error classes, their stable ids, exit codes, and the anatomy of a message.

A message is written for the person on call. It says what happened, where, what was found against what was
expected, and what to do next; the id is the same in the log, in the report and in the manual (docs/errors.md).
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_MODEL = 4
EXIT_OUTPUT = 5
EXIT_REFUSED = 6
EXIT_MEMORY = 7
EXIT_TRY_LATER = 75
EXIT_SIGNAL_BASE = 128

ERROR_IDS: dict[str, str] = {
    # 2: usage and configuration
    "E-CONFIG": "a flag, a TOML key or its value is not valid",
    "E-BINDING": "pair columns and model inputs do not fit together",
    "E-KEEP": "a kept column does not exist, clashes with an output column or has a type that cannot be kept",
    "E-OUTPUT-IS-INPUT": "the output would overwrite what the run reads",
    "E-NO-PREVIOUS": "no earlier output is kept that a rollback could publish",
    "E-KERAS-3": "Keras 3 is already loaded in this process, and TensorFlow Recommenders needs Keras 2",
    "E-EXTRA-MISSING": "an optional package that this command needs is not installed",
    "E-FACTORY": "the model factory cannot be imported or called, or does not return a model of TFRS that can be "
    "trained",
    "E-GOLDEN": "a golden case is missing or not valid",
    # 3: input data
    "E-INPUT-UNREADABLE": "the input cannot be opened",
    "E-INPUT-NOT-A-FILE": "the input is neither a regular file nor a folder",
    "E-INPUT-FOLDER": "the input folder holds no pair file, or a file that is not one",
    "E-INPUT-TABLE": "the input is part of a table (Delta Lake, Iceberg, Hudi, ...), whose files hold deleted rows",
    "E-INPUT-SCHEMAS": "the files of the input folder have different columns",
    "E-INPUT-NOT-PARQUET": "the input is not a Parquet file",
    "E-INPUT-UNSUPPORTED": "the input is Parquet of a kind that this pyarrow cannot read",
    "E-INPUT-CORRUPT": "the input is a damaged Parquet file",
    "E-INPUT-COLUMNS": "the input has duplicate column names",
    "E-RANKED-FILE": "a file is damaged, or is neither an output of a run nor a table of ranked lists",
    "E-DIFF-COLUMNS": "two files of lists have different user or candidate columns",
    "E-TRUTH": "the truth or the training rows of an evaluation cannot be read or used",
    "E-TRUTH-COLUMNS": "an evaluation's files do not have the same id columns, or no such label",
    "E-TRUTH-USERS": "ranked lists and truth have no user in common",
    "E-BAD-ROWS": "more bad rows than --max-bad-rows allows",
    "E-INTERACTIONS": "the interactions cannot be used for training",
    "E-ARCHIVE": "the archive is not a MovieLens archive that is understood",
    "E-DOWNLOAD": "the archive could not be downloaded or its checksum is wrong",
    # 4: model
    "E-MODEL-MISSING": "there is no model at the given place",
    "E-MODEL-UNREADABLE": "a file or folder of the model cannot be read",
    "E-MODEL-NOT-SAVEDMODEL": "the path given is not a TensorFlow SavedModel",
    "E-MODEL-INCOMPLETE": "files of the SavedModel are missing or short",
    "E-MODEL-DAMAGED": "a file of the SavedModel is not the one that its model card lists",
    "E-MODEL-LINK": "a link in the SavedModel points outside it, and an adoption would publish its target",
    "E-MODEL-UNTRUSTED": "the model would read or write files, call Python or open connections",
    "E-MODEL-SIGNATURE": "the SavedModel has no such signature, or one that cannot be scored",
    "E-MODEL-OUTPUT": "the score output is not clear, or has a shape or type that a score cannot have",
    "E-MODEL-CARD": "the model card does not fit the SavedModel",
    "E-PLAN-REQUIRED": "the run could not be done with a plan, and --plan require asks for one",
    "E-MODEL-PLAN": "the plan of the model cannot be made, read or used",
    "E-MODEL-LOAD": "TensorFlow cannot load the SavedModel",
    "E-MODEL-RUN": "the model failed while it scored",
    "E-MODEL-PROBES": "the model does not give the scores that it gave when it was exported, or the score of a row "
    "depends on more than the row",
    "E-MODEL-NONFINITE": "every score is NaN or infinite",
    "E-TRAINING-DIVERGED": "the training loss is not finite",
    # 5: output
    "E-OUTPUT": "the output cannot be written",
    "E-PREVIOUS-DAMAGED": "the kept output is damaged",
    # 6: limits and gates
    "E-UNKNOWN-USERS": "more users outside the model's vocabulary than --max-unknown-users allows",
    "E-UNKNOWN-CANDIDATES": "more candidates outside the vocabulary than --max-unknown-candidates allows",
    "E-INPUT-TOO-OLD": "the input is older than --max-input-age allows",
    "E-MODEL-TOO-OLD": "the model is older than --max-model-age allows",
    "E-CLOCK": "the date of the input or the model lies in the future, and its age has a limit",
    "E-NOTHING-RANKED": "the input has pairs, and none of them is ranked",
    "E-TOO-FEW-PAIRS": "fewer pairs than --min-pairs",
    "E-TOO-FEW-USERS": "fewer users than --min-users",
    "E-PAIRS-DROPPED": "more pairs of the published output are missing than --max-pair-drop allows",
    "E-USERS-DROPPED": "more users of the published output are missing than --max-user-drop allows",
    "E-CANDIDATES-DROPPED": "more candidates are missing than --max-candidate-drop allows",
    "E-USERS-REPLACED": "more users were not among those last published than --max-user-turnover allows",
    "E-SHORT-LISTS": "the share of short lists rose by more than --max-short-list-rise allows",
    "E-DUPLICATE-PAIRS": "the share of repeated pairs rose by more than --max-duplicate-rise allows",
    "E-SCORES-MOVED": "the same model's mean score moved by more than --max-score-shift allows",
    "E-SCORES-SPREAD": "the same model's scores spread more or less than --max-spread-change allows",
    "E-SCORES-EQUAL": "all scores are equal",
    "E-IDENTICAL-LISTS": "more candidates have the same score for all their users than "
    "--max-identical-lists allows",
    "E-DIFF-USERS-LOST": "more users of the old output are missing than --max-users-lost allows",
    "E-DIFF-USERS-GAINED": "more users are new than --max-users-gained allows",
    "E-DIFF-USERS-CHANGED": "more lists really differ than --max-changed-users allows",
    "E-DIFF-FIRST-CHANGED": "more first places really differ than --max-changed-first allows",
    "E-DIFF-OVERLAP": "the lists share fewer candidates than --min-overlap asks for",
    "E-DIFF-SCORES": "a pair's score changed by more than --max-score-shift allows",
    "E-GOLDEN-DIFFERS": "a run does not do what a golden case expects",
    "E-MODEL-QUALITY": "the trained model is no better than the mean, the base rate or the order by popularity",
    "E-MODEL-REGRESSION": "the trained model is worse than the live version by more than --max-regression allows",
    # 7
    "E-MEMORY": "out of memory",
    # 75
    "E-LOCKED": "another run is writing this output",
    "E-INPUT-MISSING": "the input does not exist",
    "E-INPUT-CHANGED": "the input changed while it was read",
    "E-INPUT-NOT-COMPLETE": "the input is still being written, or its writer failed",
    # 128 + N
    "E-STOPPED": "stopped by a signal",
    # 1
    "E-BUG": "a fault in batchscore itself",
}


_MEMORY_WORDS = ("cannot allocate memory", "failed to map segment", "can't start new thread")
_SHORT = 60
_MAX_REASON = 300
_MAX_LINE = 20_000
_LISTED = 30


_NEXT = f"  {'next:':<10}"
_AFTER_STOP = "run it again; if a time limit of the scheduler stopped it, raise that"


class BatchscoreWarning(UserWarning):
    """Category of the Python warnings that the library raises (never in normal operation)."""


class BatchscoreError(Exception):
    """A failure that batchscore understands.

    `str(error)` is the whole message. `exit_code` is the process exit code of the manual's table,
    `error_id` the stable id, `report` the report of the failed run as far as it got (None before it began).
    """

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(
        self,
        error_id: str,
        what: str,
        *,
        where: object = None,
        found: object = None,
        expected: object = None,
        next_step: str,
        details: Sequence[str] = (),
    ) -> None:
        if error_id not in ERROR_IDS:
            raise KeyError(error_id)
        self.error_id = error_id
        self.what = what
        self.found = None if found is None else _one_line(str(found))
        self.report: Any = None
        lines = [f"{error_id}: {what}"]
        for label, value in (("where", _absolute(where)), ("found", found), ("expected", expected)):
            if value is not None:
                lines.append(f"  {label + ':':<10}{value}")
        lines += [f"    {detail}" for detail in details]
        lines.append(f"{_NEXT}{next_step}")
        super().__init__("\n".join(map(_one_line, lines)))

    def in_one_line(self) -> str:
        """What went wrong and what was found, for a place where the whole message would not fit."""
        return self.what if self.found is None else f"{self.what}: {self.found}"

    def __reduce__(self) -> tuple[Any, ...]:
        return BaseException.__new__, (type(self), *self.args), self.__dict__


def _absolute(where: object) -> object:
    """A path from the root on: who reads a log does not know the working directory of the job."""
    if isinstance(where, Path):
        with suppress(OSError):  # there is no working directory
            return where.absolute()
    return where


def first_line(said: BaseException | str) -> str:
    """The first line of what an error or a library says, at most 300 characters. The kind of a silent error."""
    lines = str(said).strip().splitlines()
    silent = "no message" if isinstance(said, str) else type(said).__name__
    return lines[0][:_MAX_REASON] if lines else silent


def reason_of(error: BaseException) -> str:
    """Why the error was raised: the words of the operating system, otherwise the first line of its own."""
    return getattr(error, "strerror", None) or first_line(error)


def shorten(text: object) -> str:
    """At most 60 characters of a name or type that others chose, for a list in a message."""
    spelled = str(text)
    return spelled if len(spelled) <= _SHORT else f"{spelled[: _SHORT - 3]}..."


def format_value(value: object) -> str:
    """A value from data as a message tells it: as Python writes it, and at most 60 characters."""
    return shorten(repr(value))


def format_list(items: Iterable[str], nothing: str = "none") -> str:
    """The items with commas, at most 30 of them; `nothing` if there is none."""
    items = list(items)
    more = [f"and {len(items) - _LISTED:,} more"] if len(items) > _LISTED else []
    return ", ".join([*items[:_LISTED], *more]) or nothing


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'top_n'?` if a known name is close to `name`, otherwise nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a message

    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _one_line(text: str) -> str:
    """`text` with what would break the line or steer a terminal spelled out; files name columns as they like.

    More than 20,000 characters are cut, in case its writer has not shortened it.
    """
    if len(text) > _MAX_LINE:
        text = f"{text[:_MAX_LINE]}... ({len(text):,} characters)"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


class UsageError(BatchscoreError):
    """Exit 2: flags, configuration, or columns that do not fit the model."""

    exit_code = EXIT_USAGE


class InputError(BatchscoreError):
    """Exit 3: input data that cannot be read or must not be used."""

    exit_code = EXIT_INPUT


class ModelError(BatchscoreError):
    """Exit 4: a model that is missing, broken, or does not give scores."""

    exit_code = EXIT_MODEL


class OutputError(BatchscoreError):
    """Exit 5: an output that cannot be written."""

    exit_code = EXIT_OUTPUT


class RefusedError(BatchscoreError):
    """Exit 6: a limit or a gate said no."""

    exit_code = EXIT_REFUSED


class OutOfMemoryError(BatchscoreError):
    """Exit 7: memory ran out."""

    exit_code = EXIT_MEMORY


_LOST_MEMORY_ERRORS = ("error return without exception set", "returned NULL without setting an exception")
"""What Python says if a library lost the MemoryError on the way; both seen while polars was imported."""

_POLARS_WITHOUT_LIBRARY = frozenset({"PyDataFrame", "PySeries", "plr"})
"""Names that polars misses where its extension module could not be loaded, which it passes over (seen with 2.1)."""

_PANIC = "PanicException"
"""What a fault in polars raises, a BaseException that cannot be imported."""

_NO_THREAD = ("can't spawn worker thread", "Resource temporarily unavailable")


def means_out_of_memory(text: str) -> bool:
    """Whether these words of the system, of a loader of libraries or of Python say that memory ran out."""
    return any(words in text.lower() for words in _MEMORY_WORDS)


def format_address_space() -> str | None:
    """The limit of the process's address space in words, None if there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    return f"the address space is limited to {limit / 2**20:,.0f} MiB (ulimit -v)"


def as_out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """E-MEMORY for an error that Python or a library raised because memory ran out; None for any other."""
    foreign = isinstance(error, (ImportError, OSError, RuntimeError)) and means_out_of_memory(str(error))
    lost = isinstance(error, SystemError) and str(error).endswith(_LOST_MEMORY_ERRORS)
    lost |= isinstance(error, NameError) and error.name in _POLARS_WITHOUT_LIBRARY
    panic = type(error).__name__ == _PANIC and any(words in str(error) for words in _NO_THREAD)
    if not (isinstance(error, MemoryError) or foreign or lost or panic):
        return None
    found = filter(None, (first_line(error) if str(error).strip() else "", format_address_space()))
    return OutOfMemoryError(
        "E-MEMORY",
        "memory ran out",
        found="; ".join(found) or None,
        next_step="give the job more memory (its ulimit -v and -u too), or split the input by users into several "
        "runs",
    )


class TryLaterError(BatchscoreError):
    """Exit 75: the same command may work later."""

    exit_code = EXIT_TRY_LATER


class StoppedError(BaseException):
    """Raised by the command line's signal handlers; never caught as an ordinary error. Exit 128 + N."""

    error_id = "E-STOPPED"

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        self.exit_code = EXIT_SIGNAL_BASE + signal_number
        self.report: Any = None
        super().__init__(
            f"E-STOPPED: stopped by signal {signal_number}; nothing was published\n{_NEXT}{_AFTER_STOP}"
        )
