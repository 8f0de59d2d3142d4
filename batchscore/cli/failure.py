"""What `--json` prints of a failure: the report as far as it got, otherwise the failure alone."""

from __future__ import annotations

import json
import sys

from batchscore.cli.output import print_out


def print_failure(error: BaseException, error_id: str, exit_code: int, message: str) -> None:
    """Write the report of a failure to stdout, if `--json` was asked for.

    `error.report` is what the command's report is, or a comparison that refused; an error without one gives
    `command`, `status`, `exit_code`, `error_id` and `error`, as reports have them.
    """
    arguments = sys.argv[1:]
    if "--json" not in arguments:
        return
    report = getattr(error, "report", None)
    if report is not None:
        print_out(report.to_json())
        return
    plain = {"command": arguments[0], "status": "failed", "exit_code": exit_code, "error_id": error_id}
    print_out(json.dumps(plain | {"error": message}, indent=1))
