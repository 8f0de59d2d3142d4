"""Memory: what --memory and control groups allow, and what is refused before anything is scored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchscore.errors import OutOfMemoryError, UsageError
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.system import memory
from batchscore.system.memory import available_bytes, part_budget

GIB, MIB = 2**30, 2**20
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Control groups of the test's own: what /proc/self/cgroup says, and limits by path."""

    def set_(own, limits):
        (tmp_path / "own").write_text(own)
        for path, limit in limits.items():
            (tmp_path / "fs" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "fs" / path).write_text(f"{limit}\n")

    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "fs")
    return set_


SERVICE = "0::/system.slice/nightly.service\n"
VERSION_1 = "12:cpu,cpuacct:/jobs\n7:memory:/jobs/nightly\n1:name=systemd:/jobs\n"


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("", {}, MACHINE),
        ("0::/\n", {"memory.max": 3 * MIB}, 3 * MIB),
        ("0::/\n", {"memory.max": "max"}, MACHINE),
        ("0::/\n", {"memory.max": MACHINE * 2}, MACHINE),
        (SERVICE, {"system.slice/nightly.service/memory.max": 5 * MIB}, 5 * MIB),
        (SERVICE, {"system.slice/nightly.service/memory.max": "max", "system.slice/memory.max": 7 * MIB}, 7 * MIB),
        (SERVICE, {"system.slice/nightly.service/memory.max": 9 * MIB, "memory.max": 8 * MIB}, 8 * MIB),
        (SERVICE, {"memory.max": 4 * MIB}, 4 * MIB),
        (VERSION_1, {"memory/jobs/nightly/memory.limit_in_bytes": 6 * MIB}, 6 * MIB),
        (VERSION_1, {"memory/memory.limit_in_bytes": 2**63 - 4096}, MACHINE),
        ("0::/../../elsewhere\n", {"memory.max": 2 * MIB}, 2 * MIB),
        ("nonsense\n", {"memory.max": 2 * MIB}, 2 * MIB),
    ],
)
def test_what_the_machine_and_its_control_groups_leave(cgroups, own, limits, expected):
    cgroups(own, limits)
    assert available_bytes() == expected


def test_without_control_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "fs")
    assert available_bytes() == MACHINE


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        (None, 576 * MIB, 64 * MIB),
        (None, 1024 * MIB, 64 * MIB + 112 * MIB),
        (None, 512 * GIB, GIB),
        (1024 * MIB, 512 * GIB, 64 * MIB + 112 * MIB),
        (512 * GIB, 1024 * MIB, 64 * MIB + 112 * MIB),
    ],
)
def test_the_budget_of_parts(monkeypatch, asked, available, expected):
    monkeypatch.setattr(memory, "available_bytes", lambda: available)
    assert part_budget(asked, 0) == expected


@pytest.mark.parametrize(
    ("asked", "available", "limit", "next_step"),
    [
        (600 * MIB, 8 * GIB, "at most 600 MiB (--memory)", "raise --memory"),
        (None, 600 * MIB, "at most 600 MiB (what is available)", "give the job more memory"),
        (8 * GIB, 600 * MIB, "at most 600 MiB (what is available)", "give the job more memory"),
    ],
)
def test_what_cannot_fit_is_refused(monkeypatch, asked, available, limit, next_step):
    monkeypatch.setattr(memory, "available_bytes", lambda: available)
    with pytest.raises(OutOfMemoryError) as caught:
        part_budget(asked, 100 * MIB)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MEMORY", 7)
    assert str(caught.value) == (
        "E-MEMORY: the run cannot fit into its memory\n"
        "  found:    at least 676 MiB needed, of which 100 for the model\n"
        f"  expected: {limit}\n"
        f"  next:     {next_step}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4_000_000_000), ("4 GiB", 4 * GIB), ("512MiB", 512 * MIB), ("512mb", 512_000_000), ("1TiB", 2**40),
     ("7", 7), (7, 7)],
)  # fmt: skip
def test_amounts(text, expected):
    settings = RunSettings(input="i.parquet", output="o.parquet", memory=text)
    assert settings.memory == expected


@pytest.mark.parametrize("text", ["4G", "-4GB", "1.5GB", "4GBB", "0", "0GB", "lots", "4GB4GB"])
def test_what_is_no_amount(text):
    with pytest.raises(UsageError, match="memory"):
        resolve(RunSettings, "run", {"input": "i.parquet", "output": "o.parquet", "memory": text})


def test_a_run_that_cannot_fit_leaves_what_stood_there(batchscore, sample_pairs, tmp_path, lists_of_a_loop):
    output = tmp_path / "ranked.parquet"
    output.write_bytes(lists_of_a_loop)
    told = batchscore("run", "--input", sample_pairs, "--output", output, "--memory", "100MB")
    assert told.exit_code == 7
    assert "E-MEMORY: the run cannot fit into its memory" in told.err
    assert "at most 95 MiB (--memory)" in told.err
    assert output.read_bytes() == lists_of_a_loop


@pytest.fixture
def sample_pairs():
    return Path(__file__).parents[2] / "sample_data" / "pairs.parquet"
