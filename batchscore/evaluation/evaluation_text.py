"""An evaluation in words and columns, for a person."""

from __future__ import annotations

from collections.abc import Iterator

from batchscore.errors import shorten
from batchscore.evaluation.evaluate import Evaluation


def describe_evaluation(evaluation: Evaluation) -> str:
    """The whole evaluation as text: the files, how they were read, the table, and what its figures are."""
    return "\n".join(_lines(evaluation))


def _lines(evaluation: Evaluation) -> Iterator[str]:
    ranked, truth, settings = evaluation.ranked, evaluation.truth, evaluation.settings
    width = max(len(ranked.path), len(truth.path))
    label = settings["label_column"]
    rule = ""
    if label is not None:
        rule = f" ({label} above 0)" if settings["relevant"] is None else f" ({label} >= {settings['relevant']:g})"
    repeated = f", {truth.duplicates:,} repeated rows left out" if truth.duplicates else ""
    yield f"RANKED    {ranked.path:<{width}}  {ranked.users:,} users, {ranked.rows:,} rows"
    if not ranked.is_output:
        columns = ", ".join(f"{role} {shorten(name)}" for role, name in ranked.columns.items() if name is not None)
        yield f"          a table of lists: {columns}"
    yield f"TRUTH     {truth.path:<{width}}  {truth.users:,} users, {truth.pairs:,} pairs{repeated}"
    if evaluation.training is not None:
        yield f"TRAINING  {evaluation.training}"
    yield ""
    yield (
        f"{truth.relevant_pairs:,} relevant pairs{rule} of {truth.relevant_users:,} users, "
        f"{evaluation.users_without_list:,} of them without a list (counted as 0)"
    )
    yield f"{evaluation.matched_pairs:,} of {ranked.rows:,} listed pairs are in TRUTH"
    if evaluation.scores_are is not None:
        pairs, kind = evaluation.predicted_pairs, evaluation.scores_are
        yield f"{pairs:,} pairs have a score and a label; scores are read as {kind}"
    elif label is not None and ranked.columns["score"] is None:
        yield "the lists have no scores to compare with labels"
    yield ""
    yield evaluation.to_table().to_text()
    yield ""
    resamples, seed = settings["bootstrap"], settings["seed"]
    if resamples:
        yield f"± is half of the 95 % interval over users ({resamples:,} resamples, seed {seed})"
    yield f"NDCG with {settings['gain']} gain; coverage of {evaluation.catalogue:,} candidates in these files"
    if evaluation.training is not None:
        yield "baselines order the same lists; the mean has no order"
