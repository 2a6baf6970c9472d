#!/usr/bin/env python3
"""Loading a log directory: flambe's reader beside tensorboard-data-server, TensorBoard's own loader.

Usage: python3 test/bench/events_bench.py BUILD_DIR VENV_PYTHON

BUILD_DIR holds test/conformance/events_tool; build it as a release (--buildtype=release or the default).
VENV_PYTHON is a Python with the packages of test/requirements.txt.

What is measured, A B A B …, medians of TURNS, files in the page cache for both:
  flambe   wall time of one whole process on one thread, from its start to its end: finds the files, checks
           both checksums of each record, keeps every point (step, wall time, value)
  server   wall time from its start until it says that its first load cycle has finished (its log line;
           nobody asks it anything meanwhile). It loads on all processors at once and, as TensorBoard starts
           it, checks no checksums of records that parse and keeps 1000 points a tag. 'all' keeps every point;
           'all, checked' checks the checksums, too, which is what flambe does.
Each gets its processor time beside (of all threads), which other programs on the machine disturb less.
That every point was read is checked once a server by its gRPC listing, and at each run of flambe by the count.
"""
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

FILES = 250
TAGS = 8
STEPS = 1250  # FILES * TAGS * STEPS = 2.5 million scalars
TURNS = 5

LIST = """
import sys
import grpc
from tensorboard.data import grpc_provider
from tensorboard import context
channel = grpc.insecure_channel("localhost:" + sys.argv[1])
provider = grpc_provider.GrpcDataProvider("bench", grpc_provider.make_stub(channel))
listing = provider.list_scalars(context.RequestContext(), experiment_id="", plugin_name="scalars")
steps = [series.max_step for tags in listing.values() for series in tags.values()]
print(len(listing), len(steps), min(steps))
"""


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
        table.append(byte)
    return table


TABLE = crc32c_table()


def masked(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


LENGTHS = {}


def record(event):
    n = len(event)
    if n not in LENGTHS:
        length = struct.pack("<Q", n)
        LENGTHS[n] = length + masked(length)
    return LENGTHS[n] + event + masked(event)


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def one_file():
    """One scalar a record, as torch.utils.tensorboard and tensorboardX write them."""
    out = [record(b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2"))]
    for step in range(STEPS):
        for tag in range(TAGS):
            value = field(1, f"train/metric_{tag}".encode()) + b"\x15" + struct.pack("<f", 1 / (step + tag + 1))
            event = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step) + field(5, field(1, value))
            out.append(record(event))
    return b"".join(out)


def make_logs(root):
    data = one_file()
    for i in range(FILES):
        (root / f"trial_{i:03}").mkdir()
        (root / f"trial_{i:03}" / "events.out.tfevents.1700000000.host.1.0").write_bytes(data)
    return FILES * len(data)


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(tool, logs):
    start = time.perf_counter()
    process = subprocess.Popen([tool, "load", logs], stdout=subprocess.PIPE, text=True)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall, cpu = time.perf_counter() - start, processor_time(process.pid)
    out = process.communicate()[0]
    assert int(out) == FILES * TAGS * STEPS, out
    return wall, cpu


def server(binary, python, logs, flags, check):
    with tempfile.TemporaryDirectory() as place:
        port = pathlib.Path(place) / "port"
        argv = [binary, "--logdir", logs, "--reload", "once", "--port", "0", "--port-file", port, "-vv",
                "--die-after-stdin", *flags]
        start = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "load cycle" in line.lower() and "finish" in line.lower():
                break
        else:
            sys.exit("the server ended before it had loaded")
        wall, cpu = time.perf_counter() - start, processor_time(process.pid)
        if check:
            done = subprocess.run([python, "-c", LIST, port.read_text().strip()], capture_output=True, text=True,
                                  check=True)
            assert done.stdout.split() == [str(FILES), str(FILES * TAGS), str(STEPS - 1)], done.stdout
        process.kill()
        process.communicate()
        return wall, cpu


def measure(build, python):
    """By name ('flambe' and three ways of the server): (wall, processor) of each turn."""
    tool = build / "test" / "conformance" / "events_tool"
    binary = subprocess.run([python, "-c", "import tensorboard_data_server as s; print(s.server_binary())"],
                            capture_output=True, text=True, check=True).stdout.strip()
    kinds = {"server": [], "server, all": ["--samples-per-plugin", "scalars=all"],
             "server, all, checked": ["--samples-per-plugin", "scalars=all", "--checksum"]}
    times = {name: [] for name in ("flambe", *kinds)}
    with tempfile.TemporaryDirectory() as place:
        logs = pathlib.Path(place)
        size = make_logs(logs)
        for turn in range(TURNS):
            times["flambe"].append(ours(tool, logs))
            for name, flags in kinds.items():
                times[name].append(server(binary, python, logs, flags, turn == 0))
    return size, times


def medians(times, which):
    return {name: statistics.median(t[which] for t in values) for name, values in times.items()}


def main():
    size, times = measure(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
    wall, cpu = medians(times, 0), medians(times, 1)
    print(f"{FILES} files, {FILES * TAGS * STEPS / 1e6:.1f} million scalars, {size / 1e6:.0f} MB, "
          f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<22}{'wall':>8}{'least':>8}{'most':>8}{'cpu':>8}   flambe's share: wall, cpu")
    for name, values in times.items():
        walls = [w for w, _ in values]
        ratio = "" if name == "flambe" else f"   {wall['flambe'] / wall[name]:.2f}, {cpu['flambe'] / cpu[name]:.2f}"
        print(f"{name:<22}{wall[name]:>8.3f}{min(walls):>8.3f}{max(walls):>8.3f}{cpu[name]:>8.2f}{ratio}")
    return 0 if wall["flambe"] <= min(wall.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
