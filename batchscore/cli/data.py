"""`batchscore data`: data sets to train and score on."""

from __future__ import annotations

from typing import Any

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import QUIET, VERBOSE, parameters
from batchscore.cli.output import print_aside
from batchscore.cli.settings import resolve_settings
from batchscore.settings.data import MovieLensSettings, SyntheticSettings


@click.group("data")
def command() -> None:
    """Make data sets to try batchscore on.

    Both commands write two files into --output: interactions.parquet, which `batchscore train` reads, and
    pairs.parquet, which `batchscore run` reads. Files of these names that are there already are replaced, each at
    once, and only when both new ones are complete.
    """


@command.command("movielens", params=parameters(MovieLensSettings, QUIET, VERBOSE))
def movielens(*, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Turn a MovieLens archive into interactions and pairs.

    PATH_OR_NAME is a zip file from GroupLens, the folder it was unpacked to, or a name: ml-latest-small, ml-100k,
    ml-1m, ml-20m, ml-25m or ml-32m. A named archive is downloaded into DIR and its checksum verified; this needs
    `pip install 'batchscore[download]'`. A path is recognised by the files inside it.

    Licence: MovieLens data is GroupLens's, not batchscore's; see the README inside the archive; redistribution only
    under its terms.
    """
    settings = resolve_settings(MovieLensSettings, "data movielens", flags).settings

    from batchscore.datasets.movielens import LICENCE, convert_movielens

    with job_console(quiet=quiet, verbose=verbose) as observer:
        report = convert_movielens(
            settings.source,
            settings.output,
            candidates_per_user=settings.candidates_per_user,
            seed=settings.seed,
            observer=observer,
        )
    if not quiet:
        print_aside(report)
        print_aside(LICENCE)


@command.command("synthetic", params=parameters(SyntheticSettings, QUIET, VERBOSE))
def synthetic(*, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Write the small invented data set that stands in sample_data/.

    200 users, 300 movies, 12,000 ratings that follow from invented tastes, and 100 candidates for each user. It is
    the same everywhere: nothing in it is measured, and nothing is downloaded.
    """
    settings = resolve_settings(SyntheticSettings, "data synthetic", flags).settings

    from batchscore.datasets.synthetic import generate_sample

    with job_console(quiet=quiet, verbose=verbose) as observer:
        report = generate_sample(settings.output, observer=observer)
    if not quiet:
        print_aside(report)
