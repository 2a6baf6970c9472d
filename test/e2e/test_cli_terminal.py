"""The command line on a terminal of its own: the question, the live table, Ctrl-C."""
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import FLAMBE


class Terminal:
    """A program on a pseudo-terminal that is its controlling one; standard output may be apart."""

    def __init__(self, argv, env, size=(24, 100), stdout=None):
        self.master, slave = os.openpty()
        self.resize(size)
        env = dict(env, TERM="xterm")

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen(list(map(str, argv)), env=env, stdin=slave, stderr=slave,
                                      stdout=stdout or slave, preexec_fn=own_terminal)
        os.close(slave)
        self.text = ""

    def resize(self, size):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def pump(self, seconds):
        """Reads what comes; False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, words, seconds=60):
        limit = time.monotonic() + seconds
        while words not in self.text:
            assert self.pump(0.1) or words in self.text, f"'{words}' never came: {self.text}"
            assert time.monotonic() < limit, f"'{words}' did not come: {self.text}"

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, seconds=60):
        limit = time.monotonic() + seconds
        while self.pump(0.1):
            assert time.monotonic() < limit, self.text
            if self.child.poll() is not None and not select.select([self.master], [], [], 0.1)[0]:
                break
        status = self.child.wait(timeout=seconds)
        os.close(self.master)
        return status

    def screen(self):
        """What stands on the screen at the end, as lines, by replaying what console.c uses."""
        rows, row = [""], 0
        for part in re.findall(r"\x1b\[(?:\d*)[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.text):
            if part == "\n":
                row += 1
                while len(rows) <= row:
                    rows.append("")
            elif part == "\r":
                pass
            elif part.endswith("A") and part.startswith("\x1b"):
                row -= int(part[2:-1])
            elif part == "\x1b[J":
                rows = rows[:row + 1]
                rows[row] = ""
            elif part.startswith("\x1b"):
                pass
            else:
                rows[row] += part
        return rows


@pytest.fixture
def terminal(ghosts):
    started = []

    def start(*argv, **more):
        t = Terminal([FLAMBE, *argv], ghosts.env, **more)
        started.append(t)
        return t
    yield start
    for t in started:
        if t.child.poll() is None:
            t.child.kill()
            t.child.wait()


def launches(box):
    return [r["action"] for r in box.requests()].count("RunInstances")


def test_no_makes_nothing(ghosts, terminal):
    t = terminal(ghosts.cluster_file(name="asked", factories_num=2))
    t.expect("[y/N]")
    assert "make these 3 machines" in t.text
    assert launches(ghosts) == 0
    t.type("n\n")
    assert t.end() == 1
    assert "nothing was done" in t.text and launches(ghosts) == 0


@pytest.mark.parametrize("answer", ["\n", "\x04", "maybe\n"])
def test_only_yes_is_yes(ghosts, terminal, answer):
    t = terminal(ghosts.cluster_file(name="asked", factories_num=0))
    t.expect("[y/N]")
    assert "make this 1 machine" in t.text or "make this machine" in t.text
    t.type(answer)
    assert t.end() == 1 and launches(ghosts) == 0


def test_yes_makes_it_and_an_empty_plan_asks_nothing(ghosts, terminal):
    file = ghosts.cluster_file(name="asked", factories_num=2)
    t = terminal(file)
    t.expect("[y/N]")
    t.type("y\n")
    assert t.end() == 0, t.text
    screen = "\n".join(t.screen())
    assert re.search(r"orchestrator +ready", screen) and re.search(r"factory_2 +ready", screen), screen
    assert screen.count("factory_2 ") <= 2, "the live table stands once on the screen"
    assert "'asked' is ready: 3 hosts" in screen and "flambe ssh asked" in screen
    again = terminal(file)
    assert again.end() == 0 and "[y/N]" not in again.text
    down = terminal("down", "asked")
    down.expect("[y/N]")
    down.type("yes\n")
    assert down.end() == 0 and "is down" in down.text


def test_ctrl_c_at_the_question(ghosts, terminal):
    t = terminal(ghosts.cluster_file(name="asked"))
    t.expect("[y/N]")
    t.type("\x03")
    assert t.end() == 130
    assert launches(ghosts) == 0


def test_ctrl_c_while_it_works_says_what_is_left(ghosts, terminal):
    file = ghosts.cluster_file(name="cut", factories_num=2)
    ghosts.fault("late-address=60", "--count", "3")
    t = terminal("-y", file)
    t.expect("pending")
    t.type("\x03")
    assert t.end() == 130, t.text
    assert "3 machines of 'cut' are there" in t.text and f"flambe down {file}" in t.text
    ghosts.control("fault", "clear")
    assert ghosts.flambe("down", file, "-y").returncode == 0


def test_a_second_ctrl_c_ends_at_once(ghosts, terminal):
    file = ghosts.cluster_file(name="cut", factories_num=0)
    ghosts.fault("hold-before=60", "--action", "RunInstances", "--count", "1")
    t = terminal("-y", file)
    limit = time.monotonic() + 30
    while "held" not in ghosts.control("fault", "list").stdout:
        t.pump(0.1)
        assert time.monotonic() < limit
    t.type("\x03")
    time.sleep(0.5)
    t.type("\x03")
    began = time.monotonic()
    assert t.end() == 130
    assert time.monotonic() - began < 10
    ghosts.control("release", check=False)


def test_the_table_follows_the_windows_size(ghosts, terminal):
    file = ghosts.cluster_file(name="size", factories_num=30)
    ghosts.fault("late-address=2", "--count", "31")
    t = terminal("-y", file, size=(12, 60))
    t.expect("31 hosts:")
    t.resize((40, 120))
    t.child.send_signal(signal.SIGWINCH)
    assert t.end(120) == 0, t.text
    small = t.text[:t.text.index("31 hosts:")]
    assert len(small.splitlines()) < 40


def test_json_stays_clean_on_a_terminal(ghosts, terminal, tmp_path):
    file = ghosts.cluster_file(name="json", factories_num=1)
    with open(tmp_path / "out", "w+") as out:
        t = terminal("-y", file, "-o", "json", stdout=out)
        assert t.end() == 0, t.text
        out.seek(0)
        result = json.load(out)
    assert result["ready"] is True and len(result["hosts"]) == 2
    assert "error" not in result
