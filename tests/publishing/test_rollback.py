"""Rolling back: the kept output is published again, and nothing that was kept is ever lost on the way."""

from __future__ import annotations

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import OutputError, TryLaterError, UsageError
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.rollback import rollback
from batchscore.run_report import Report, read_report
from batchscore.settings.paths import DatedPath
from batchscore.settings.run import RunSettings


@pytest.fixture
def output(tmp_path):
    return tmp_path / "ranked.parquet"


def publish(output, night, *, keep=1, report=True, state_dir=None, name=None):
    with claim(Job(DatedPath(output), state_dir, name)) as ours:
        done = ours.publish(
            lambda path: pq.write_table(
                pa.table({"user_id": ["u"], "night": [night], "rank": [1]}), path, write_page_checksum=True
            ),
            1,
            keep_replaced=keep > 0,
            committing=lambda: None,
        )
        told = Report.begin(RunSettings(input="i", output="o", job=name))
        told.run_id, told.output, told.users = f"run {night}", done, night
        ours.settle(told, keep)
        if not report:
            ours.report_path.unlink()


def night(path):
    return pq.read_table(path)["night"][0].as_py()


def kept(output):
    """The nights of the kept outputs and of their reports, newest first."""
    state = output.parent / "_batchscore"
    found = []
    for path in sorted(state.glob("ranked.parquet.previous-*")):
        if path.suffix != ".json":
            report = read_report(path.with_name(f"{path.name}.report.json"))
            found.append((path.name[-1], night(path), report and report.users))
    return found


def published(output):
    """The night of the published output, and what its report tells."""
    report = json.loads((output.parent / "_batchscore" / "ranked.parquet.report.json").read_text())
    return night(output), report["users"], report["rolled_back_from"]


def test_the_previous_output_is_published_with_its_report(output):
    publish(output, 1)
    publish(output, 2)
    report = rollback(output)
    assert published(output) == (1, 1, "run 2")
    assert (report.status, report.users, report.rolled_back_from) == ("published", 1, "run 2")
    assert report.rolled_back_at is not None
    assert kept(output) == [("1", 2, 2)]


def test_a_shared_state_folder_is_rolled_back_output_by_output(tmp_path):
    state = tmp_path / "state"
    outputs = [tmp_path / country / "ranked.parquet" for country in ("de", "fr")]
    for number, output in enumerate(outputs):
        output.parent.mkdir()
        publish(output, 10 * number + 1, state_dir=state)
        publish(output, 10 * number + 2, state_dir=state)
    assert rollback(outputs[1], state).users == 11
    assert [night(output) for output in outputs] == [2, 11]


def test_a_second_rollback_takes_the_first_one_back(output):
    publish(output, 1)
    publish(output, 2)
    rollback(output)
    rollback(output)
    assert published(output) == (2, 2, "run 1")
    assert kept(output) == [("1", 1, 1)]


def test_older_outputs_stay_where_they_are(output):
    for number in (1, 2, 3, 4):
        publish(output, number, keep=3)
    rollback(output)
    assert published(output) == (3, 3, "run 4")
    assert kept(output) == [("1", 4, 4), ("2", 2, 2), ("3", 1, 1)]


def test_an_output_that_was_deleted_comes_back(output):
    publish(output, 1)
    publish(output, 2)
    output.unlink()
    rollback(output)
    assert published(output) == (1, 1, None)
    assert kept(output) == []


def test_the_next_run_keeps_what_was_rolled_back_to(output):
    publish(output, 1)
    publish(output, 2)
    rollback(output)
    publish(output, 3)
    assert published(output) == (3, 3, None)
    assert kept(output) == [("1", 1, 1)]


def test_nothing_kept_is_a_usage_error(output):
    publish(output, 1)
    before = output.stat()
    with pytest.raises(UsageError) as refused:
        rollback(output)
    assert (refused.value.error_id, refused.value.exit_code) == ("E-NO-PREVIOUS", 2)
    assert (
        "found:    no kept output that differs from the published one\n  expected: ranked.parquet.previous-1\n"
        in str(refused.value)
    )
    assert output.stat() == before


def refusal(output, **how):
    """What a rollback that has nothing to publish says; it leaves nothing behind."""
    before = sorted(output.parent.rglob("*"))
    with pytest.raises(UsageError, match="E-NO-PREVIOUS") as refused:
        rollback(output, **how)
    assert sorted(output.parent.rglob("*")) == before
    return str(refused.value)


def test_a_path_at_which_nothing_was_published_is_told_as_that(output):
    publish(output, 1)
    assert "nothing has been published at this path" in refusal(output.with_name("nothing.parquet"))


def test_a_file_that_no_run_published_is_told_as_that(output, lists_of_a_loop):
    publish(output, 1)
    output.with_name("pairs.parquet").write_bytes(lists_of_a_loop)
    assert "no run has published this file" in refusal(output.with_name("pairs.parquet"))


def test_a_history_under_a_name_is_found(output):
    publish(output, 1, name="a")
    publish(output, 2, name="a")
    assert "next:     give --job a, as a run of this output did" in refusal(output)
    assert "next:     give --job a, as a run of this output did" in refusal(output, job="b")
    state = output.parent / "state"
    assert "give --job a and leave --state-dir out, as" in refusal(output, state_dir=state)
    assert not state.exists()
    assert rollback(output, job="a").users == 1


def test_a_history_without_a_name_is_found(output):
    publish(output, 1)
    publish(output, 2)
    assert "next:     leave --state-dir out, as a run of" in refusal(output, state_dir=output.parent / "state")


def test_a_history_under_a_name_is_found_if_there_is_an_older_one_without(output):
    publish(output, 1)
    publish(output, 2, name="a", keep=0)
    publish(output, 3, name="a")
    assert "next:     give --job a, as a run of this output did" in refusal(output)


def test_a_history_in_another_state_folder_is_asked_for(output, tmp_path):
    publish(output, 1, state_dir=tmp_path / "state")
    publish(output, 2, state_dir=tmp_path / "state")
    told = refusal(output)
    assert "found:    a lock of its runs, and no records in" in told
    assert "next:     give the --state-dir and the --job of its runs" in told


def test_a_kept_output_with_the_same_bytes_is_nothing_to_go_back_to(output):
    publish(output, 1)
    shutil.copyfile(output, output.parent / "_batchscore" / "ranked.parquet.previous-1")
    with pytest.raises(UsageError, match="no kept output that differs from the published one"):
        rollback(output)


def test_a_rerun_that_gives_the_same_bytes_pushes_nothing_out(output):
    publish(output, 1)
    publish(output, 2)
    publish(output, 2)
    assert kept(output) == [("1", 1, 1)]
    rollback(output)
    assert published(output) == (1, 1, "run 2")


@pytest.mark.parametrize("how", ["flipped", "short"])
def test_a_damaged_output_is_not_published(output, how):
    publish(output, 1)
    publish(output, 2)
    path = output.parent / "_batchscore" / "ranked.parquet.previous-1"
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[20] ^= 1
    path.write_bytes(data if how == "flipped" else data[:-9])
    with pytest.raises(OutputError) as refused:
        rollback(output)
    assert (refused.value.error_id, refused.value.exit_code) == ("E-PREVIOUS-DAMAGED", 5)
    assert str(path) in str(refused.value)
    assert published(output) == (2, 2, None)
    assert not list(output.parent.rglob("*.tmp"))


def test_a_damaged_kept_output_is_left_for_an_older_one_if_there_is_one(output):
    for number in (1, 2, 3):
        publish(output, number, keep=2)
    state = output.parent / "_batchscore"
    newest = state / "ranked.parquet.previous-1"
    newest.write_bytes(b"garbage")
    with pytest.raises(
        OutputError, match=r"remove ranked.parquet.previous-1, .*: ranked.parquet.previous-2 is older"
    ):
        rollback(output)
    newest.unlink()
    rollback(output)
    assert published(output) == (1, 1, "run 3")
    (state / "ranked.parquet.previous-1").write_bytes(b"garbage")
    (state / "ranked.parquet.previous-2").unlink(missing_ok=True)
    with pytest.raises(OutputError, match="no older output is kept: run again"):
        rollback(output)


@pytest.mark.parametrize("damage", [b"", b"garbage", "flipped"])
def test_a_damaged_published_output_never_pushes_a_good_one_out(output, damage, caplog):
    publish(output, 1)
    publish(output, 2)
    damage_file(output, damage)
    publish(output, 3)
    assert published(output) == (3, 3, None)
    assert kept(output) == [("1", 1, 1)]
    assert "the output that is replaced is damaged, and is not kept: " in caplog.text


@pytest.mark.parametrize("damage", [b"", b"garbage", "flipped"])
def test_a_damaged_published_output_is_rolled_back_and_not_kept(output, damage, caplog):
    caplog.set_level("INFO")
    publish(output, 1)
    publish(output, 2)
    damage_file(output, damage)
    rollback(output)
    assert published(output) == (1, 1, None)
    assert kept(output) == []
    assert "is kept as" not in caplog.text


def test_a_sound_file_that_no_report_tells_of_is_kept(output, lists_of_a_loop):
    output.write_bytes(lists_of_a_loop)
    publish(output, 1)
    assert (output.parent / "_batchscore" / "ranked.parquet.previous-1").read_bytes() == lists_of_a_loop


def damage_file(path, damage):
    if damage == "flipped":
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        damage = data
    path.write_bytes(damage)


def test_damage_in_a_page_is_found_without_a_report(output):
    publish(output, 1)
    publish(output, 2)
    path = output.parent / "_batchscore" / "ranked.parquet.previous-1"
    path.with_name(f"{path.name}.report.json").unlink()
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match="E-PREVIOUS-DAMAGED"):
        rollback(output)
    assert night(output) == 2


def test_an_output_without_a_report_leaves_no_wrong_one(output, caplog):
    publish(output, 1)
    publish(output, 2)
    (output.parent / "_batchscore" / "ranked.parquet.previous-1.report.json").unlink()
    assert rollback(output) is None
    assert night(output) == 1
    assert not (output.parent / "_batchscore" / "ranked.parquet.report.json").exists()
    assert "has no report" in caplog.text
    assert kept(output) == [("1", 2, 2)]


def test_a_run_on_the_output_is_waited_for(output):
    publish(output, 1)
    with claim(Job(DatedPath(output))), pytest.raises(TryLaterError, match="E-LOCKED"):
        rollback(output)


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("step", range(1, 12))
def test_killed_at_any_rename_no_night_is_lost_and_a_rerun_ends_well(output, monkeypatch, step, hard_links):
    for number in (1, 2, 3):
        publish(output, number, keep=2)
    if not hard_links:
        monkeypatch.setattr(os, "link", _no_link)
    done = _die_at(monkeypatch, step, lambda: rollback(output))
    nights = {night(output), *(number for _, number, _ in kept(output))}
    assert nights == {1, 2, 3}
    assert night(output) in (2, 3)
    if night(output) == 3 and not done:
        rollback(output)
    assert night(output) == 2
    publish(output, 4, keep=3)
    assert night(output) == 4
    assert {3, 2} <= {number for _, number, _ in kept(output)}


class _Killed(BaseException):
    pass


def _die_at(monkeypatch, step, action) -> bool:
    """Run `action` and end it before its step-th rename; whether it came to its end."""
    counted = iter(range(1, 1000))
    real = os.replace

    def replace(source, target, **how):
        if next(counted) >= step:
            raise _Killed
        real(source, target, **how)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", replace)
        try:
            action()
        except _Killed:
            return False
    return True


def _no_link(*_):
    raise OSError(18, "Invalid cross-device link")


@pytest.mark.parametrize("name", ["no\0file", os.fsdecode(b"caf\xe9"), "{day}"])
def test_a_path_that_no_run_publishes_to_is_refused(tmp_path, name):
    for paths in ((tmp_path / name, None), (tmp_path / "ranked.parquet", tmp_path / name)):
        with pytest.raises(UsageError, match="E-CONFIG"):
            rollback(*paths)
    assert list(tmp_path.iterdir()) == []


def test_a_rollback_that_is_refused_does_not_speak_of_what_is_published(output, caplog):
    publish(output, 1)
    publish(output, 2)
    (output.parent / "_batchscore" / "ranked.parquet.previous-1.report.json").unlink()
    (output.parent / "_batchscore" / "ranked.parquet.previous-1").write_bytes(b"PAR1")
    with pytest.raises(OutputError, match="E-PREVIOUS-DAMAGED"):
        rollback(output)
    assert "published again" not in caplog.text


def test_a_file_in_the_place_of_the_state_folder_is_told_as_that(output, tmp_path):
    (tmp_path / "state").touch()
    with (
        pytest.raises(OutputError, match="a file is where a folder is needed"),
        claim(Job(DatedPath(output), tmp_path / "state")),
    ):
        pass
