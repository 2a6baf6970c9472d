"""A noisy wave. Usage: make_data.py TRAIN VALID --output-dir DIRECTORY"""
import argparse
import json
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("train", type=int)
parser.add_argument("valid", type=int)
parser.add_argument("--output-dir")
args = parser.parse_args()

for name in ("train", "valid"):
    rng = random.Random(name)
    xs = [rng.uniform(-1, 1) for _ in range(getattr(args, name))]
    with open(f"{args.output_dir}/{name}.json", "w") as f:
        json.dump([(x, math.sin(5 * x) + rng.gauss(0, 0.3)) for x in xs], f)
