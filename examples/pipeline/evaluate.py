"""How a model does on points that nobody has seen, by `flambe log`.

Usage: evaluate.py MODEL POINTS WAVES
"""
import json
import os
import subprocess
import sys

import features

model_path, points_path, count = sys.argv[1:]
with open(model_path) as f:
    model = json.load(f)
assert len(model["waves"]) == int(count), "the link is to another trial"
loss, accuracy = features.judge(model, features.read(points_path))
print(f"{count} waves: loss {loss:.3f}, accuracy {accuracy:.3f}")
for tag, value in {"test/loss": loss, "test/accuracy": accuracy}.items():
    subprocess.run([os.environ["FLAMBE"], "log", tag, str(value)], check=True)
