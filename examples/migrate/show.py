"""Draws a fit. Usage: show.py TRIAL --title TEXT"""
import argparse
import json

import polynomials

parser = argparse.ArgumentParser()
parser.add_argument("trial")
parser.add_argument("--title")
args = parser.parse_args()

with open(f"{args.trial}/weights.json") as f:
    weights = json.load(f)
print("degree", args.title)
for row in range(-20, 21, 2):
    column = int(30 + 20 * polynomials.value(weights, row / 20))
    print(f"{row / 20:5.1f} |" + " " * max(0, min(60, column)) + "*")
