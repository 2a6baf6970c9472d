"""Scatters points around the two curves of a CSV file: DIRECTORY/{train,valid,test}.csv.

Usage: prepare.py CURVES SIZE DIRECTORY; the environment's NOISE says how far they stray.
"""
import csv
import os
import random
import sys

curves_path, size, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
noise = float(os.environ["NOISE"])
curves = {}
with open(curves_path, newline="") as f:
    for row in csv.DictReader(f):
        curves.setdefault(int(row["class"]), []).append((float(row["x"]), float(row["y"])))


def point(rng):
    label = rng.randrange(len(curves))
    at = rng.uniform(0, len(curves[label]) - 1)
    (x, y), (next_x, next_y) = curves[label][int(at):][:2]
    part = at - int(at)
    return (x + part * (next_x - x) + rng.gauss(0, noise),
            y + part * (next_y - y) + rng.gauss(0, noise), label)


# Each set has numbers of its own: whatever SIZE is, all are validated and tested by the same points.
for name, count in {"train": size, "valid": 400, "test": 400}.items():
    rng = random.Random(name)
    with open(f"{directory}/{name}.csv", "w", newline="") as f:
        csv.writer(f).writerows(point(rng) for _ in range(count))
print(f"{size} points for training")
