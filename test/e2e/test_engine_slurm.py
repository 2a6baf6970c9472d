"""The Slurm engine over a real Slurm: how programs start and end there, and what is made of all that
can go wrong between. Driven through slurm_tool, which is also the wrapper in the jobs."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

import slurm_lab
from conftest import BUILD

TOOL = str(BUILD / "test/unit/engine/slurm_tool")
pytestmark = pytest.mark.skipif(slurm_lab.missing() is not None, reason=str(slurm_lab.missing()))


class End:
    def __init__(self, words):
        self.how, status, number, self.host, self.message, peak, dropped, span = words
        self.status, self.signal = int(status), int(number)
        self.peak, self.dropped, self.span = int(peak), int(dropped), int(span)

    def __repr__(self):
        return f"<{self.how} {self.status} {self.signal} on {self.host!r}: {self.message!r}>"


class Tool:
    """A running slurm_tool."""

    def __init__(self, lab, home, *options, wrapper=TOOL, jobs=None, env=(), counted=True):
        self.home = pathlib.Path(home)
        self.started, self.ends, self.twice, self.said = {}, {}, [], []
        self.state = self.home / "engine"
        self.process = subprocess.Popen(
            [TOOL, "engine", str(self.state), wrapper, jobs or str(lab.ended), *options],
            env=dict(lab.env, **dict(env)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=slurm_lab.die_with_parent)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.wait(lambda: self.said, 10)
        assert self.said[0] == ["ready"], self.said
        while counted and self.answer("room", 1, 0) == ["room", "2"]:  # the nodes are being counted
            time.sleep(0.02)

    def read(self):
        for line in self.process.stdout:
            word, *rest = line.rstrip("\n").split("\t")
            if word == "started":
                self.started[int(rest[0])] = rest[1:3]
            elif word == "ended":
                number = int(rest[0])
                if number in self.ends:
                    self.twice.append(number)
                self.ends[number] = End(rest[1:])
            else:
                self.said.append([word, *rest])

    def do(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def submit(self, number, *argv, cpus=1, gpus=0, time_ms=0, memory=0, directory=None, console=None):
        self.do("submit", number, cpus, gpus, time_ms, memory, directory or self.home,
                console or self.out(number), *argv)

    def sh(self, number, line, **more):
        self.submit(number, "sh", "-c", line, **more)

    def out(self, number):
        return self.home / f"{number}.out"

    def wait(self, done, seconds=60):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, (self.said, self.started, self.ends)
            time.sleep(0.02)

    def end_of(self, number, seconds=60):
        self.wait(lambda: number in self.ends, seconds)
        return self.ends[number]

    def wait_started(self, number, seconds=60):
        self.wait(lambda: number in self.started, seconds)
        return self.started[number]

    def answer(self, *words):
        count = len(self.said)
        self.do(*words)
        self.wait(lambda: len(self.said) > count, 10)
        return self.said[count]

    def close(self, how="free"):
        if self.process.poll() is None:
            self.do(how)
            self.process.wait(60)
        self.reader.join(10)
        assert self.process.returncode == 0
        assert not self.twice
        return self

    def die(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def lab():
    it = slurm_lab.Lab()
    try:
        yield it.start()
    finally:
        it.stop()


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def tool(lab, home):
    it = Tool(lab, home)
    yield it
    it.close()
    it.wait(lambda: not [line for line in lab.queue() if "flambe-" in line], 20)


def test_two_hundred(tool):
    tool.do("many", 1, 200, tool.home, "true")
    tool.wait(lambda: len(tool.ends) == 200, 120)
    assert all(e.how == "exited" and e.status == 0 for e in tool.ends.values())
    assert len(tool.started) == 200 and {h for h, _ in tool.started.values()} == {"w1", "w2", "w3"}
    assert all(tool.started[n][0] == e.host and e.peak > 0 for n, e in tool.ends.items())


def test_statuses_and_signals(tool):
    rows = {1: ("exit 0", "exited", 0, 0), 2: ("exit 3", "exited", 3, 0), 3: ("exit 66", "exited", 66, 0),
            4: ("kill -TERM $$", "signal", -1, 15), 5: ("kill -KILL $$", "signal", -1, 9),
            6: ("kill -INT $$", "signal", -1, 2)}
    for number, (line, *_) in rows.items():
        tool.sh(number, line)
    for number, (_, how, status, number_of_signal) in rows.items():
        end = tool.end_of(number)
        assert (end.how, end.status, end.signal) == (how, status, number_of_signal)
        assert end.message == ""


def test_what_a_program_sees(lab, home):
    tool = Tool(lab, home, env={"SECRET_OF_DRIVER": "hunter2", "TOOL_ENV": "TOKEN=s3cret", "SBATCH_HOLD": "1"}.items())
    tool.sh(1, "env; pwd; cat; ls -l /dev/fd/0", cpus=2)
    assert tool.end_of(1).status == 0
    text = tool.out(1).read_text()
    assert {"FLAMBE_CPUS=2", "FLAMBE_GPUS=0", "OMP_NUM_THREADS=2", "FROM_SPEC=yes", "TOKEN=s3cret",
            str(home)} <= set(text.splitlines())
    assert "SLURM" not in text and "hunter2" not in text and "/dev/null" in text
    # What programs get is nobody else's to read, and nothing of it is in what Slurm keeps.
    specs = list((tool.state / "specs").iterdir())
    assert specs and all(p.stat().st_mode & 0o777 == 0o600 for p in specs)
    assert (tool.state / "specs").stat().st_mode & 0o777 == 0o700
    assert b"s3cret" in specs[0].read_bytes()
    for path in [lab.ended, *lab.dir.glob("log/*"), *lab.dir.glob("state/*"), *lab.dir.glob("w?/**/*")]:
        if path.is_file():
            data = path.read_bytes()
            assert b"s3cret" not in data and b"hunter2" not in data, path
    tool.close()
    assert not list(tool.state.glob("specs/*"))


def test_what_cannot_start_names_its_host(tool):
    tool.submit(1, "no-such-program-x")
    tool.submit(2, "true", directory="/no/such/directory")
    tool.submit(3, "true", console="/no/such/console")
    for number, why in ((1, "no such program"), (2, "/no/such/directory"), (3, "/no/such/console")):
        end = tool.end_of(number)
        assert end.how == "not started" and end.status == -1
        assert end.host in ("w1", "w2", "w3") and end.message.startswith(f"on {end.host}: ")
        assert why in end.message
    assert not tool.started


def test_limits(tool):
    tool.submit(1, "sleep", "1000", time_ms=300)
    tool.sh(2, "trap '' TERM; while :; do sleep 0.1; done", time_ms=300)
    tool.submit(3, "/usr/bin/python3", "-c", "x = bytearray(200 << 20); import time; time.sleep(1000)",
                memory=100 << 20)
    assert tool.end_of(1).how == "time limit"
    end = tool.end_of(2)
    assert end.how == "time limit" and end.span >= 5_000_000
    assert tool.end_of(3).how == "memory limit"


def test_output_is_bounded_and_leftovers_go(tool):
    tool.sh(1, "head -c 30000000 /dev/zero | tr '\\0' x; echo end")
    tool.sh(2, "setsid sleep 4321 & echo $!")
    assert tool.end_of(1).status == 0 and tool.end_of(2).status == 0
    assert tool.ends[1].dropped >= 13_000_000
    assert tool.out(1).stat().st_size < 17_000_000
    assert tool.out(1).read_bytes().endswith(b"end\n")
    assert subprocess.run(["pgrep", "-f", "^sleep 4321"], capture_output=True).stdout == b""


def test_stop(tool):
    tool.submit(1, "sleep", "1000")
    tool.sh(2, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    tool.sh(3, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for number in (1, 2, 3):
        tool.wait_started(number)
    tool.wait(lambda: all("ready" in tool.out(n).read_text() for n in (2, 3)))
    began = time.monotonic()
    tool.do("stop", 1, 0)
    tool.do("stop", 2, 5000)
    tool.do("stop", 3, 1000)
    tool.do("stop", 99, 0)  # unknown
    ends = [tool.end_of(n, 20) for n in (1, 2, 3)]
    assert [e.how for e in ends] == ["stopped"] * 3
    assert ends[1].status == 7 and ends[2].signal == 9
    assert time.monotonic() - began < 10


def test_stop_what_waits(tool):
    """More than there is place for: those in the queue are taken out of it."""
    for number in range(1, 30):
        tool.submit(number, "sleep", "1000")
    tool.wait(lambda: len(tool.started) == 24)
    waiting = sorted(set(range(1, 30)) - set(tool.started))
    tool.do("stop", waiting[0], 5000)
    tool.do("stop", waiting[1], 0)
    for number in waiting[:2]:
        end = tool.end_of(number, 15)
        assert end.how == "stopped" and end.span == -1
    tool.submit(50, "true")
    tool.do("stop", 50, 0)  # not yet in Slurm
    assert tool.end_of(50, 15).how == "stopped"
    assert waiting[2] not in tool.started


def test_room(tool):
    assert tool.answer("room", 1, 0) == ["room", "32"]
    assert tool.answer("room", 8, 0) == ["room", "5"]
    assert tool.answer("room", 1, 1) == ["room", "2"]  # there are no GPUs
    for number in range(1, 33):
        tool.submit(number, "sleep", "1000")
    assert tool.answer("room", 1, 0) == ["room", "0"]
    tool.submit(33, "true")
    tool.wait(lambda: tool.said[-1][0] == "refused", 10)
    assert "no room" in tool.said[-1][2]


def test_slurm_refuses(tool):
    tool.submit(1, "true", gpus=1)
    end = tool.end_of(1, 60)
    assert end.how == "not started" and "Slurm refused it: " in end.message and "gres" in end.message


def test_no_wrapper(lab, home):
    tool = Tool(lab, home, wrapper="/no/such/flambe's node")
    tool.submit(1, "true")
    end = tool.end_of(1)
    assert end.how == "not started" and end.message.startswith(f"flambe's program is not on {end.host}")
    tool.close()


def test_cancelled_by_somebody_else(lab, tool):
    tool.submit(1, "sleep", "1000")
    tool.wait_started(1)
    lab.run("scancel", "--me")
    end = tool.end_of(1)
    assert end.how == "lost" and "somebody else" in end.message


def test_wrapper_killed(tool):
    tool.submit(1, "sleep", "1234")
    tool.wait_started(1)
    subprocess.run(["pkill", "-KILL", "-f", f"^{TOOL} trial {tool.state}/"], check=True)
    end = tool.end_of(1)
    assert end.how == "lost" and "supervisor" in end.message and end.host in end.message
    tool.wait(lambda: not subprocess.run(["pgrep", "-f", "^sleep 1234"], capture_output=True).stdout, 10)


def test_strange_jobs_of_others(lab, tool):
    """Jobs that are not the engine's, with names that look as if they were, or like lines of a list."""
    token = None
    tool.submit(1, "sleep", "1000")
    tool.wait_started(1)
    token = next((tool.state / "specs").iterdir()).name
    names = [f"x JobState=COMPLETED ArrayJobId=1 ArrayTaskId=0", "flambe-", f"flambe-{'0' * 16}",
             f"flambe-{token} JobState=FAILED", f"a|b|c|d|flambe-{token}", "Name=x ExitCode=9:9", "'; rm -rf $HOME; '"]
    for name in names:
        lab.run("sbatch", "--output=/dev/null", "--chdir=/", f"--job-name={name}", "--wrap", "exit 1")
    lab.run("sbatch", "--output=/dev/null", "--chdir=/", "--array=0-3000:3000", "--job-name=flambe-" + "f" * 16,
            "--wrap", "true")
    time.sleep(4)
    assert 1 not in tool.ends
    assert 1 not in tool.ends
    tool.do("stop", 1, 0)
    assert tool.end_of(1).how == "stopped"


def test_node_dies(lab, tool):
    tool.submit(1, "sleep", "1000")
    host = tool.wait_started(1)[0]
    began = time.monotonic()
    lab.kill(host)
    try:
        end = tool.end_of(1, 60)
        assert end.how == "lost" and end.host == host and host in end.message
        assert time.monotonic() - began < 40
    finally:
        lab.start_node(host)
        lab.wait_idle()


def test_slurmd_dies(lab, tool):
    """Slurm gives the node up, and so the program: what lives of it ends, before it can meet the same
    program started anew."""
    tool.submit(1, "sleep", "4567")
    host = tool.wait_started(1)[0]
    alive = lambda: subprocess.run(["pgrep", "-f", "^sleep 4567"], capture_output=True).stdout
    lab.kill_slurmd(host)
    try:
        assert alive()
        assert tool.end_of(1, 60).how == "lost"
        tool.wait(lambda: not alive(), 15)
    finally:
        lab.kill(host)
        lab.start_node(host)
        lab.wait_idle()


def run_again_if_lost(tool, number, *argv):
    """As the driver does. A controller that has just come back may find a job that it has only just
    started missing on its node, and cancel it."""
    for attempt in range(number, number + 5):
        tool.submit(attempt, *argv)
        tool.wait(lambda: attempt in tool.ends or attempt in tool.started)
        if attempt in tool.started or tool.ends[attempt].how != "lost":
            return attempt
    raise AssertionError(tool.ends)


def test_controller_restarts(lab, home):
    """What runs goes on and ends; what is submitted meanwhile waits."""
    tool = Tool(lab, home)
    tool.sh(1, "sleep 9; exit 5")
    tool.submit(2, "sleep", "1000")
    tool.wait_started(1)
    tool.wait_started(2)
    time.sleep(6)  # until the controller has written down what runs; it does so every five seconds
    lab.kill("slurmctld")
    tool.submit(3, "true")
    assert tool.end_of(1, 30).status == 5
    time.sleep(3)
    assert 3 not in tool.ends
    lab.start_controller()
    end = tool.end_of(3, 60)
    assert end.status == 0 or end.how == "lost"
    assert tool.end_of(run_again_if_lost(tool, 4, "true")).status == 0
    tool.do("stop", 2, 0)
    assert tool.end_of(2, 30).how in ("stopped", "lost")
    tool.close()
    lab.run("scancel", "--me")  # it may not have heard of ends while it was down
    lab.wait_idle()


def test_controller_gone_for_good(lab, home):
    tool = Tool(lab, home, "patience=2000")
    running = run_again_if_lost(tool, 11, "sleep", "1000")
    lab.kill("slurmctld")
    try:
        tool.submit(2, "true")
        tool.wait(lambda: any(w[0] == "broken" for w in tool.said), 60)
        assert tool.ends[running].how == tool.ends[2].how == "lost"
        assert "Slurm has not answered" in next(w[1] for w in tool.said if w[0] == "broken")
        tool.submit(3, "true")
        tool.wait(lambda: tool.said[-1][0] == "refused", 10)
        tool.close()
    finally:
        lab.start_controller()
        lab.run("sh", "-c", "sleep 2; scancel --me")
        lab.wait_idle()


def test_adopt_after_a_kill(lab, home):
    first = Tool(lab, home)
    first.submit(1, "sleep", "1000")          # runs on
    first.sh(2, "sleep 2; exit 4")            # ends while nobody looks
    first.sh(3, "exit 6")                     # has ended
    first.submit(4, "sleep", "1000")          # nobody adopts it
    first.sh(5, "sleep 6; exit 8")            # ends later
    for number in (1, 2, 4, 5):
        first.wait_started(number)
    first.end_of(3)
    first.die()
    time.sleep(3)
    second = Tool(lab, home)
    assert [second.answer("adopt", n)[2] for n in (1, 2, 3, 5, 77)] == ["1", "1", "1", "1", "0"]
    assert second.end_of(2).status == 4 and second.end_of(3).status == 6
    assert second.wait_started(1)[0] in ("w1", "w2", "w3") and 1 not in second.ends
    second.submit(6, "true")                  # from now on what is left over is ended
    assert second.end_of(6).status == 0
    assert second.end_of(5).status == 8
    second.wait(lambda: len(lab.queue()) == 1, 20)
    assert 4 not in second.ends and 4 not in second.started
    second.do("stop", 1, 0)
    assert second.end_of(1).how == "stopped"
    second.close()


def test_detach(lab, home):
    first = Tool(lab, home)
    first.sh(1, "sleep 3; exit 4")
    first.wait_started(1)
    first.close("detach")
    second = Tool(lab, home)
    assert second.answer("adopt", 1)[2] == "1"
    assert second.end_of(1).status == 4
    second.close()
    third = Tool(lab, home)
    assert third.answer("adopt", 1)[2] == "0"
    third.close()


def path_with(home, name, script):
    """A PATH in which `name` is a script; `$REAL` in it is the real one."""
    place = home / "bin"
    place.mkdir()
    file = place / name
    file.write_text(f"#!/bin/sh\nREAL={shutil.which(name)}\n{script}\n")
    file.chmod(0o755)
    return {"PATH": f"{place}:{os.environ['PATH']}:/usr/sbin"}


@pytest.mark.parametrize("reaches", [True, False])
def test_killed_while_it_submits(lab, home, reaches):
    """Slurm has the array, or has not, when the driver dies, and the driver knows nothing of it."""
    real = '$REAL "$@" || exit 1; ' if reaches else ""
    script = f"{real}touch {home}/called; exec sleep 1000"
    first = Tool(lab, home, env=path_with(home, "sbatch", script).items())
    first.sh(1, f"sleep 2; echo ran >> {home}/ran; exit 4")
    first.wait(lambda: (home / "called").exists())
    first.die()
    second = Tool(lab, home)
    assert second.answer("adopt", 1)[2] == "1"
    end = second.end_of(1)
    if reaches:
        assert end.how == "exited" and end.status == 4
        assert (home / "ran").read_text() == "ran\n"
    else:
        assert end.how == "lost"
        # What that sbatch may still bring about runs nothing.
        token = next((second.state / "specs").glob("*.hold")).name.split(".")[0]
        lab.run("sbatch", "--wait", "--chdir=/", "--output=/dev/null", "--array=0-0", f"--job-name=flambe-{token}",
                "--wrap", f"exec {TOOL} trial {second.state}/specs/{token} 0", check=False)
        assert not (home / "ran").exists()
    second.close()


def test_submission_in_doubt(lab, home):
    """sbatch fails although Slurm has taken the array: it is not submitted twice."""
    script = f"test -e {home}/once && exec $REAL \"$@\"; touch {home}/once; $REAL \"$@\" >/dev/null; exit 1"
    tool = Tool(lab, home, env=path_with(home, "sbatch", script).items())
    tool.sh(1, f"sleep 3; echo ran >> {home}/ran")
    end = tool.end_of(1)
    # It may have begun while its description was out of the way; else it was found.
    assert end.how == "exited" and (home / "ran").read_text() == "ran\n" or end.how == "lost"
    tool.close()


def test_submission_fails_at_first(lab, home):
    script = f"test -e {home}/twice && exec $REAL \"$@\"; test -e {home}/once && touch {home}/twice; touch {home}/once; exit 1"
    tool = Tool(lab, home, env=path_with(home, "sbatch", script).items())
    tool.sh(1, f"echo ran >> {home}/ran; exit 3")
    assert tool.end_of(1).status == 3
    assert (home / "ran").read_text() == "ran\n"
    tool.close()


def test_without_the_list_of_ended_jobs(lab, home):
    """The queue tells, if later."""
    tool = Tool(lab, home, "look=1000", jobs="-")
    tool.submit(1, "sleep", "1000")
    tool.sh(2, "exit 3")
    tool.wait_started(1)
    assert tool.end_of(2).status == 3
    subprocess.run(["pkill", "-KILL", "-f", f"^{TOOL} trial {tool.state}/"], check=True)
    assert tool.end_of(1, 30).how == "lost"
    tool.close()


def test_small_arrays():
    """More programs than one array may have tasks."""
    lab = slurm_lab.Lab(nodes=1, cpus=24, array=5)
    try:
        lab.start()
        home = lab.dir / "home"
        home.mkdir()
        tool = Tool(lab, home)
        for number in range(1, 24):
            tool.sh(number, f"exit {number}")
        tool.wait(lambda: len(tool.ends) == 23)
        assert all(e.status == n for n, e in tool.ends.items())
        tool.close()
        text = lab.ended.read_text()
        assert "ArrayTaskId=4 " in text and "ArrayTaskId=5 " not in text
    finally:
        lab.stop()
