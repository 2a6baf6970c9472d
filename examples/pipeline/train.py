"""Learns to tell the classes: logistic regression over random waves, by gradient descent.

Usage: train.py --data DIRECTORY --waves N --lr X --epochs N --output DIRECTORY
"""
import argparse
import json
import os
import random

import features

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--waves", type=int)
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--output")
args = parser.parse_args()

rng = random.Random(7)
train, valid = (features.read(f"{args.data}/{name}.csv") for name in ("train", "valid"))
model = {"waves": [(rng.gauss(0, 2), rng.gauss(0, 2), rng.uniform(0, 6.3)) for _ in range(args.waves)],
         "weights": [0.0] * (args.waves + 1)}

with open(os.environ["FLAMBE_METRICS"], "a") as metrics:
    for epoch in range(1, args.epochs + 1):
        rng.shuffle(train)
        for x, y, label in train:
            wrong = features.probability(model, x, y) - label
            for i, wave in enumerate(features.waves(model, x, y)):
                model["weights"][i] -= args.lr * wrong * wave
        loss, accuracy = features.judge(model, valid)
        print(json.dumps({"step": epoch, "valid/loss": loss, "valid/accuracy": accuracy}), file=metrics,
              flush=True)

with open(f"{args.output}/model.json", "w") as f:
    json.dump(model, f)
