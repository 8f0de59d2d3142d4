"""`python -m batchscore.planning.graph` makes a plan in a process of its own: a run loads no TensorFlow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan_file import write_plan


def main(arguments: Sequence[str]) -> None:
    """Plan one output of one signature and write the plan, or the reason why there is none, into a directory."""
    parser = argparse.ArgumentParser(prog="python -m batchscore.planning.graph", description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a SavedModel directory")
    parser.add_argument("--signature", required=True)
    parser.add_argument("--score-output", required=True)
    parser.add_argument("--user-input", action="append", default=[], help="an input known to belong to the user")
    parser.add_argument("--candidate-input", action="append", default=[], help="the same for the candidate")
    parser.add_argument("--directory", type=Path, required=True, help="where to write the plan")
    given = parser.parse_args(arguments)
    plan = plan_model(
        given.model,
        given.signature,
        given.score_output,
        user_inputs=given.user_input,
        candidate_inputs=given.candidate_input,
    )
    write_plan(given.directory, plan)


if __name__ == "__main__":
    main(sys.argv[1:])
