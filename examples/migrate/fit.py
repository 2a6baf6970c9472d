"""Fits a polynomial. Usage: fit.py DATA --degree N --learning-rate X --output-dir DIRECTORY"""
import argparse
import json
import os

import polynomials

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--degree", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--output-dir")
args = parser.parse_args()


def read(name):
    with open(f"{args.data}/{name}.json") as f:
        return json.load(f)


def explained(points):
    """The part of the variance that the fit explains: 1 is all of it."""
    mean = sum(y for _, y in points) / len(points)
    rest = sum((y - polynomials.value(weights, x)) ** 2 for x, y in points)
    return 1 - rest / sum((y - mean) ** 2 for _, y in points)


train, valid = read("train"), read("valid")
weights = [0.0] * (args.degree + 1)
for epoch in range(1, 101):
    for x, y in train:
        wrong = polynomials.value(weights, x) - y
        for i, b in enumerate(polynomials.basis(x, args.degree)):
            weights[i] -= args.learning_rate * wrong * b
    # New: the two lines by which flambe learns how it goes. Event files, as tensorboardX's
    # SummaryWriter(args.output_dir) writes them, are read as they are.
    with open(os.environ["FLAMBE_METRICS"], "a") as f:
        print(json.dumps({"step": epoch, "explained": explained(valid)}), file=f)

with open(f"{args.output_dir}/weights.json", "w") as f:
    json.dump(weights, f)
