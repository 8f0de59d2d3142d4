"""Where the time of a run goes, stage by stage, and how fast the head of the plan is alone. By hand.

    python tests/benchmarks/stages.py --work DIR 1k 3m 30m

Takes the data and models that speed.py made under --work. For each workload: the median seconds of each stage as
the report has them (stages overlap: the head's threads work while the others run), what the process took beside
them (Python and imports), its processor seconds, and pairs a second while pairs were scored. Then the head alone,
its tables full of random numbers: pairs a second on all cores, pairs in the order that `find_order` gives them,
against the limit of speed.py, in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from speed import HEAD_FLOPS, WORKLOADS, Workload, command, limit, make_model, make_pairs

from batchscore.engine.fed_table import FedTable
from batchscore.engine.opening import open_session
from batchscore.planning.plan import Plan
from batchscore.planning.plan_cache import read_model_plan
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.scoring.score.parts import Placed, find_order

RUNS = 5
CALLS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("workloads", nargs="*", default=["1k", "3m", "30m"])
    given = parser.parse_args()
    best = limit()
    print(f"limit {best / 1e6:.1f} M pairs/s (tutorial's head), {os.cpu_count()} cores")
    for name in given.workloads:
        show_stages(name, WORKLOADS[name], given.work)
    for name in given.workloads:
        show_head(name, WORKLOADS[name], given.work, best)


def show_stages(name: str, workload: Workload, work: Path) -> None:
    pairs, model = make_pairs(name, workload, work), make_model(workload, work)
    runs = [measure([*command(name, workload, pairs, model, work), "--json"]) for _ in range(RUNS + 1)][1:]
    stages = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    rows = pq.read_metadata(pairs).num_rows
    scoring = sum(stages[stage] for stage in ("read", "check", "guard", "score", "rank"))
    print(f"{name}: {rows:,} pairs, {rows / scoring / 1e6:.2f} M pairs/s while they are scored")
    print("  " + "  ".join(f"{stage} {seconds:.3f}" for stage, seconds in stages.items()))


def measure(arguments: list[str]) -> dict[str, float]:
    """Seconds of each stage, of the process beside them, and of the processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    whole = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = json.loads(done.stdout)["seconds"]
    processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"python": whole - seconds["total"], **seconds, "whole": whole, "processors": processors}


def show_head(name: str, workload: Workload, work: Path, best: float) -> None:
    model = make_model(workload, work) / "1"
    plan = find_plan(work / "plans", model)
    if plan is None:
        print(f"{name}: no plan without inputs pair by pair under {work / 'plans'}; run speed.py first")
        return
    session = open_session(model, threads=os.cpu_count() or 1)
    session.import_graph(plan.graph, "")
    head = plan.head
    feeds = [head.blocks_feed, *(part.rows_feed for part in plan.parts)]
    feeds += [table.feed for part in plan.parts for table in part.tables]
    call = session.prepare(feeds, [head.output], label="the head")
    draw = np.random.default_rng(0)
    tables = [
        tuple(FedTable(workload.candidates, table.width, table.dtype) for table in part.tables)
        for part in plan.parts
    ]
    flat = [table for part in tables for table in part]
    for table in flat:
        table.values[:] = draw.standard_normal(table.values.shape, dtype=np.float32)
    blocks = np.array(head.call_rows // head.block_rows, np.int32)

    def rows(task: int) -> list[list[np.ndarray]]:
        """Row numbers of two calls, as a task has them: a part whose inputs change slowly, and scattered ones."""
        size = 2 * head.call_rows
        grouped = (np.arange(size) + task * size) // workload.each % min(workload.users, workload.candidates)
        columns = [grouped, *(draw.integers(workload.candidates, size=size) for _ in plan.parts[1:])]
        placed = [Placed(column.astype(np.int32), part, {}) for column, part in zip(columns, tables, strict=True)]
        order = find_order(placed)
        halves = order[: head.call_rows], order[head.call_rows :]
        return [[part.rows[half] for part in placed] for half in halves]

    calls = [numbers for task in range(CALLS // 2) for numbers in rows(task)]
    call(blocks, *calls[0], *flat)

    def work_through() -> None:
        for numbers in calls:
            call(blocks, *numbers, *flat)

    threads = [threading.Thread(target=work_through) for _ in range(os.cpu_count() or 1)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(threads) * CALLS * head.call_rows / (time.perf_counter() - began)
    share = rate / best * plan.flops_after / HEAD_FLOPS
    limited = f"{100 * share:.0f} % of the limit of its {plan.flops_after:,} FLOPs"
    print(f"{name}: head alone {rate / 1e6:.2f} M pairs/s, {limited}")
    session.close()


def find_plan(plans: Path, model: Path) -> Plan | None:
    """A plan among those that speed.py left, for a model with these inputs: it holds no weights."""
    signature = read_saved_model(model).signatures["serving_default"]
    wanted = {name: spec.dtype for name, spec in signature.inputs.items()}
    for folder in sorted(plans.iterdir()):
        plan = read_model_plan(folder)
        if (
            isinstance(plan, Plan)
            and {item.name: item.dtype for part in plan.parts for item in part.inputs} == wanted
        ):
            return plan
    return None


if __name__ == "__main__":
    sys.exit(main())
