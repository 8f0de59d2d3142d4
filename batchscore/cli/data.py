"""`batchscore data`: data sets to train and score on."""

from __future__ import annotations

from pathlib import Path

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import FilePath, print_aside


@click.group("data")
def command() -> None:
    """Make data sets to try batchscore on.

    Both commands write two files into --output: interactions.parquet, which `batchscore train` reads, and
    pairs.parquet, which `batchscore run` reads. Files of these names that are there already are replaced, each at
    once, and only when both new ones are complete.
    """


@command.command("movielens")
@click.argument("source", metavar="PATH_OR_NAME")
@click.option(
    "--output",
    type=FilePath(),
    required=True,
    metavar="DIR",
    help="Folder for the two files, made where it is missing.",
)
@click.option(
    "--candidates-per-user",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    metavar="N",
    help="Pairs for each user: movies drawn from those that the user has not rated but somebody has.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=42,
    show_default=True,
    metavar="N",
    help="Seed of the draw. The same archive and seed give the same files.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("--verbose", is_flag=True, help="Say more on the way.")
def movielens(
    *, source: str, output: Path, candidates_per_user: int, seed: int, quiet: bool, verbose: bool
) -> None:
    """Turn a MovieLens archive into interactions and pairs.

    PATH_OR_NAME is a zip file from GroupLens, the folder it was unpacked to, or a name: ml-latest-small, ml-100k,
    ml-1m, ml-20m, ml-25m or ml-32m. A named archive is downloaded into DIR and its checksum verified; this needs
    `pip install 'batchscore[download]'`. A path is recognised by the files inside it.

    Licence: MovieLens data is GroupLens's, not batchscore's; see the README inside the archive; redistribution only
    under its terms.
    """
    from batchscore.datasets.movielens import LICENCE, convert_movielens

    with job_console(quiet=quiet, verbose=verbose) as observer:
        report = convert_movielens(
            source, output, candidates_per_user=candidates_per_user, seed=seed, observer=observer
        )
    if not quiet:
        print_aside(report)
        print_aside(LICENCE)


@command.command("synthetic")
@click.option(
    "--output",
    type=FilePath(),
    required=True,
    metavar="DIR",
    help="Folder for the two files, made where it is missing.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("--verbose", is_flag=True, help="Say more on the way.")
def synthetic(*, output: Path, quiet: bool, verbose: bool) -> None:
    """Write the small invented data set that stands in sample_data/.

    200 users, 300 movies, 12,000 ratings that follow from invented tastes, and 100 candidates for each user. It is
    the same everywhere: nothing in it is measured, and nothing is downloaded.
    """
    from batchscore.datasets.synthetic import generate_sample

    with job_console(quiet=quiet, verbose=verbose) as observer:
        report = generate_sample(output, observer=observer)
    if not quiet:
        print_aside(report)
