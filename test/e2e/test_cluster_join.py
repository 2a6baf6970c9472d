"""A cluster that grows while an experiment runs, and one of a single machine whose shared tree is a directory
of its own. Needs root and LXC, and a static flambe-node; see test_cluster_run.py."""
import pytest

from runs import wait_for
from test_cluster_run import NAME, end, experiment, first, flambe, laboratory, ran, rows, start


@pytest.fixture(scope="module")
def small(booted):
    """1 + 1 booted hosts, which the experiment makes."""
    for box in laboratory(booted):
        box.files = [box.cluster_file(name=NAME, factories_num=n, factories_type="t3.small",
                                      orchestrator_type="t3.small") for n in (1, 2)]
        yield box


def test_a_factory_that_joins_meanwhile_has_the_files_and_runs_trials(small):
    (small.work / "data.txt").write_text("of the tree\n")
    file = experiment(small, "join", 40, 2)
    text = (small.work / file).read_text()
    (small.work / file).write_text(text.replace("echo here is", "cat data.txt || exit 9; echo here is"))
    child = start(small, file, "-c", small.files[0], "-y")
    wait_for(lambda: child.poll() is not None or
             any(r["state"] == "success" for r in (rows(small, "join") if up(small) else [])), 120)
    assert child.poll() is None, child.communicate()
    flambe(small, small.files[1], "-y")
    end(child, 240)
    found = rows(small, "join")
    assert len(found) == 40 and {(r["state"], r["attempts"]) for r in found} == {("success", 1)}, found
    where = {line[1] for lines in ran(small, "join").values() for line in lines}
    assert len(where) == 2, where
    flambe(small, "down", NAME, "-y", "--lose-results")


def up(small):
    """Whether the experiment is there to be asked for."""
    return "join" in flambe(small, "status", NAME, status=None).stdout


def test_with_a_shared_directory_the_state_is_on_the_orchestrator_s_own_disk(small):
    alone = small.cluster_file(name=NAME, factories_num=0, orchestrator_type="t3.small", shared="/mnt/mine",
                               setup_cmds="['sudo mkdir -p /mnt/mine']")
    file = experiment(small, "apart", 2, 0)
    flambe(small, file, "-c", alone, "-y")
    assert {r["state"] for r in rows(small, "apart")} == {"success"}
    listed = first(small, "ls -A /srv/flambe/results/output__apart /mnt/mine/results/output__apart"
                          " /var/lib/flambe/state/apart").split()
    assert listed.count("flambe.db") == 1 and listed.count(".state") == 2, listed
    flambe(small, "fetch", NAME, "apart")
    home = small.work / "flambe-output/output__apart"
    assert (home / "flambe.db").is_file() and not (home / ".state").exists()
    flambe(small, "down", NAME, "-y")
