"""What a person set otherwise than last published, or lost on the way: told, never refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchscore.errors import format_list, shorten
from batchscore.run_report import Report


def tell_changed_lists(report: Report, before: Report) -> Iterator[str]:
    """A warning if the lists have another length than last published."""
    now, last = report.settings.get("top_n"), before.settings.get("top_n")
    if last is not None and now != last:
        yield f"top N is {now}, last published {last}: check --top-n if this is not intended"


def tell_lost_probes(report: Report, before: Report) -> Iterator[str]:
    """A warning if the model's scores are no longer compared with those of its export."""
    if report.model is None or before.model is None:
        return
    if before.model.probes and not report.model.probes:
        yield (
            f"this model has no model card for its score {shorten(report.model.score_output)!r}, the model last "
            "published had one: its scores are not compared with those of its export (`batchscore adopt` writes a "
            "card)"
        )


def tell_changed_columns(now: Mapping[str, str], last: Mapping[str, str]) -> Iterator[str]:
    """A warning if the output's columns (name to type) have other names, types or places than last published.

    Types that Parquet writes alike, such as string and large_string, are one.
    """
    columns, before = _format(now), _format(last)
    if columns == before:
        return
    gone, new = ([item for item in some if item not in others] for some, others in ((before, columns),
                                                                                  (columns, before)))  # fmt: skip
    changes = [
        f"{what} {format_list(some)}" for what, some in (("now with", new), ("no longer with", gone)) if some
    ]
    if not changes:
        changes = [f"now in the order {format_list(columns)}", f"last published {format_list(before)}"]
    yield f"the columns of the output changed: {', '.join(changes)}: check the programs that read the output"


def _format(columns: Mapping[str, str]) -> list[str]:
    return [
        f"{shorten(name)} {type_.removeprefix('large_').removesuffix('_view')}" for name, type_ in columns.items()
    ]
