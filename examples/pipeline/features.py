"""What train.py and evaluate.py share: waves over the plane, and what a model says of a point."""
import csv
import math


def read(path):
    with open(path, newline="") as f:
        return [(float(x), float(y), int(label)) for x, y, label in csv.reader(f)]


def waves(model, x, y):
    return [1.0] + [math.cos(a * x + b * y + c) for a, b, c in model["waves"]]


def probability(model, x, y):
    z = sum(map(float.__mul__, model["weights"], waves(model, x, y)))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def judge(model, points):
    """The mean loss, and the part of the points that is taken for the right class."""
    loss = right = 0
    for x, y, label in points:
        p = probability(model, x, y)
        loss -= math.log(max(p if label else 1 - p, 1e-12))
        right += (p > 0.5) == bool(label)
    return loss / len(points), right / len(points)
