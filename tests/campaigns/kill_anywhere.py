"""By hand: kill a run anywhere, fail its system calls, and check that nothing published is ever lost.

    python tests/campaigns/kill_anywhere.py                 # all rows that this machine can do, about an hour
    python tests/campaigns/kill_anywhere.py --rows A2 A3    # these only

A1  SIGKILL after 0.2 s, 0.3 s, ... until the run ends by itself
A2  SIGKILL at every single open, rename, link, fsync, close, unlink and mkdir of a run on a file of its output
    (needs strace)
A3  EIO, ENOSPC, EDQUOT and EROFS from each of these calls, once and from then on (needs strace)

After every fault, on top of an output that was published before:
I1  the output is exactly the old one or the new one
I2  the report belongs to the output, or is missing and the rerun brings it
I3  exit 0 means the new one, a refusal means the old one, a death by signal either; never a traceback; after the
    commit point a fault is a warning: exit 0
I4  a plain rerun succeeds and its bytes are those of a run without faults
I5  after it no temporary file is left
I6  the output before the old one is kept until the new one is published, and the old one from then on
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
CHANCE = "0123abcd"
"""What the name of the temporary file has in the place of chance, so that its calls can be picked."""

SCRIPT = f"""
import secrets
secrets.token_hex = lambda _bytes: {CHANCE!r}
from batchscore.cli import main
main()
"""
RUN = [sys.executable, "-c", SCRIPT, "run"]
CALLS = (
    "open,openat,rename,renameat,renameat2,link,linkat,fsync,fdatasync,close,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "fchmod,fchown,ftruncate"
)
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
RECORDS = ("report.json", "failed.json", "rejects.jsonl", "failed.rejects.jsonl", "refused.parquet", "previous-0",
           "previous-0.report.json", "previous-1", "previous-1.report.json", "previous-2",
           "previous-2.report.json")  # fmt: skip
_CALL = re.compile(r"\d+ +(?:<\.\.\. )?(\w+)[( ]")
_COMMIT = re.compile(r'rename\w*\(.*\.tmp".*"[^"]*/ranked\.parquet"')
ROWS_OF_PAIRS = 200_000
REFUSALS = {2, 3, 4, 5, 6, 7, 75}


@dataclass
class Campaign:
    """The state before each fault, what a run without faults gives, and what was found."""

    workspace: Path
    oldest: str = ""
    old: str = ""
    new: str = ""
    seconds: float = 0.0
    trials: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def before(self) -> Path:
        return self.workspace / "before"

    @property
    def night(self) -> Path:
        return self.workspace / "night"

    @property
    def output(self) -> Path:
        return self.night / "ranked.parquet"

    def prepare(self) -> None:
        """Publish the old output, then measure an undisturbed run on top of it."""
        self.before.mkdir()
        make_pairs(self.before / "pairs.parquet")
        shutil.copytree(ROOT / "tests" / "models" / "echo", self.before / "model")
        self.restore()
        require_success(self.run("--top-n", "2"))
        self.oldest = sha256(self.output)
        require_success(self.run("--top-n", "3"))
        self.old = sha256(self.output)
        shutil.rmtree(self.before)
        shutil.copytree(self.night, self.before)
        began = time.monotonic()
        require_success(self.run())
        self.seconds = time.monotonic() - began
        self.new = sha256(self.output)

    def restore(self) -> None:
        shutil.rmtree(self.night, ignore_errors=True)
        shutil.copytree(self.before, self.night)

    def command(self, *flags: str) -> list[str]:
        limits = ["--max-unknown-users", "off", "--max-unknown-candidates", "off"]
        paths = {"--input": self.night / "pairs.parquet", "--output": self.output, "--model": self.night / "model"}
        return [*RUN, *(str(part) for pair in paths.items() for part in pair), *limits, *flags]

    def run(self, *flags: str, around: tuple[str, ...] = (), kill_after: float | None = None) -> tuple[int, str]:
        """Exit code (negative: signal) and stderr of a run, killed after `kill_after` seconds."""
        found = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
        process = subprocess.Popen(
            [*around, *self.command(*flags)], cwd=ROOT, env=environ, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            _, err = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
        return process.returncode, err

    @property
    def previous(self) -> Path:
        return self.night / "_batchscore" / "ranked.parquet.previous-1"

    @property
    def paths(self) -> list[Path]:
        """What a run makes, moves or removes for its output."""
        state = self.night / "_batchscore"
        records = [state / f"ranked.parquet.{record}" for record in RECORDS]
        temporary = [state / f".ranked.parquet.{record}.tmp" for record in RECORDS]
        written = self.night / f".ranked.parquet.{CHANCE}.tmp"
        return [self.output, written, self.night, self.night / ".ranked.parquet.lock", state, *records, *temporary]

    def check(self, what: str, code: int, err: str) -> None:
        """I1 to I6 after one fault."""
        self.trials += 1
        found = sha256(self.output) if self.output.exists() else "nothing"
        self.expect(found in {self.old, self.new}, what, "I1: the output is neither the old nor the new one")
        reported = self.reported()
        self.expect(reported in {None, self.old, self.new}, what, "I2: the report is of no output")
        if code == 0:
            self.expect(found == self.new, what, "I3: exit 0, but not published")
        if code in REFUSALS:
            self.expect(found == self.old, what, f"I3: exit {code}, but the output changed")
        self.expect(code <= 0 or code in REFUSALS, what, f"I3: exit {code}")
        self.expect("Traceback" not in err, what, f"I3: a traceback\n{err}")
        if found == self.old:
            self.expect(sha256(self.previous) == self.oldest, what, "I6: the output before is lost")
        code, err = self.run()
        self.expect(code == 0, what, f"I4: the rerun exits {code}\n{err}")
        self.expect(sha256(self.output) == self.new, what, "I4: the rerun gives other bytes")
        self.expect(self.reported() == self.new, what, "I2: the rerun's report is missing")
        self.expect(sha256(self.previous) == self.old, what, "I6: the rerun has not kept the old output")
        left = [path.name for path in self.night.rglob("*.tmp")]
        self.expect(not left, what, f"I5: left behind: {left}")

    def reported(self) -> str | None:
        path = self.night / "_batchscore" / "ranked.parquet.report.json"
        return str(json.loads(path.read_text())["output"]["sha256"]) if path.exists() else None

    def expect(self, condition: bool, what: str, violation: str) -> None:
        if not condition:
            self.violations.append(f"{what}: {violation}")
            print(f"VIOLATED {what}: {violation}", flush=True)


def kill_after_each_while(campaign: Campaign, step: float) -> None:
    for after in itertools.count(0.2, step):
        campaign.restore()
        code, err = campaign.run(kill_after=after)
        campaign.check(f"A1 killed after {after:.2f} s", code, err)
        if code == 0:
            return


def kill_at_each_call(campaign: Campaign) -> None:
    for call, number, committed in list_calls(campaign):
        campaign.restore()
        code, err = campaign.run(around=injecting(campaign, call, f"signal=KILL:when={number}"))
        if committed:
            found = sha256(campaign.output)
            campaign.expect(found == campaign.new, f"A2 {call} {number}", "committed, and not the new output")
        campaign.expect(code != 0, f"A2 {call} {number}", "the fault did not happen")
        campaign.check(f"A2 killed at {call} {number}", code, err)


def fail_each_call(campaign: Campaign, errors: list[str]) -> None:
    calls = list_calls(campaign)
    for error, persistent in itertools.product(errors, ("", "+")):
        for call, number, committed in calls:
            campaign.restore()
            fault = f"error={error}:when={number}{persistent}"
            code, err = campaign.run(around=injecting(campaign, call, fault))
            if committed:
                campaign.expect(code == 0, f"A3 {fault} of {call}", f"I3: exit {code} after the commit\n{err}")
            campaign.check(f"A3 {error} from {call} {number}{persistent}", code, err)


def list_calls(campaign: Campaign) -> list[tuple[str, int, bool]]:
    """Each such call of an undisturbed run on `campaign.paths`.

    Its name, its number among those of its kind, and whether it comes after the commit point.
    """
    campaign.restore()
    log = campaign.workspace / "calls"
    require_success(campaign.run(around=tracing(campaign, str(log), CALLS)))
    numbers: Counter[str] = Counter()
    calls, committed = [], False
    for line in log.read_text().splitlines():
        if (match := _CALL.match(line)) and "resumed>" not in line:
            numbers[match[1]] += 1
            calls.append((match[1], numbers[match[1]], committed))
            committed = committed or _COMMIT.search(line) is not None
    if not committed:
        raise SystemExit(f"no commit point in {log.read_text()}")
    told = (f"{call} {number}{' after the commit' * committed}" for call, number, committed in calls)
    print(f"{len(calls)} calls: {', '.join(told)}", flush=True)
    return calls


def tracing(campaign: Campaign, log: str, calls: str) -> tuple[str, ...]:
    paths = (part for path in campaign.paths for part in ("-P", str(path)))
    return ("strace", "-f", "-qq", "-e", "signal=none", "-o", log, "-e", f"trace={calls}", *paths)


def injecting(campaign: Campaign, call: str, fault: str) -> tuple[str, ...]:
    return (*tracing(campaign, os.devnull, call), "-e", f"inject={call}:{fault}")


def make_pairs(path: Path) -> None:
    generator = np.random.default_rng(3)
    users = generator.integers(0, ROWS_OF_PAIRS // 20, ROWS_OF_PAIRS)
    candidates = generator.integers(0, 500, ROWS_OF_PAIRS)
    table = pa.table({
        "user_id": pa.array(users).cast(pa.string()),
        "item_id": pa.array(candidates).cast(pa.string()),
        "value": pa.array(generator.integers(0, 64, ROWS_OF_PAIRS) / 8, pa.float32()),
    })  # fmt: skip
    pq.write_table(table, path, write_page_checksum=True)


def require_success(ended: tuple[int, str]) -> None:
    code, err = ended
    if code:
        raise SystemExit(f"a run without faults exits {code}:\n{err}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=["A1", "A2", "A3"], default=["A1", "A2", "A3"])
    parser.add_argument("--step", type=float, default=0.1, metavar="SECONDS", help="of A1 (default: 0.1)")
    parser.add_argument("--errors", nargs="+", choices=ERRORS, default=list(ERRORS), help="of A3 (default: all)")
    options = parser.parse_args()
    skipped = [row for row in options.rows if row != "A1" and shutil.which("strace") is None]
    for row in skipped:
        print(f"{row} is NOT done: strace is not installed", flush=True)
    with tempfile.TemporaryDirectory(prefix="batchscore-campaign-") as workspace:
        campaign = Campaign(Path(workspace))
        campaign.prepare()
        print(f"an undisturbed run takes {campaign.seconds:.1f} s", flush=True)
        if "A1" in options.rows:
            kill_after_each_while(campaign, options.step)
        if "A2" in options.rows and "A2" not in skipped:
            kill_at_each_call(campaign)
        if "A3" in options.rows and "A3" not in skipped:
            fail_each_call(campaign, options.errors)
    print(f"{campaign.trials} faults, {len(campaign.violations)} violations", flush=True)
    sys.exit(1 if campaign.violations else 0)


if __name__ == "__main__":
    main()
