"""What test_optuna.py and the benchmarks share: search_tool as an object, and functions to search."""
import hashlib
import json
import math
import os
import subprocess

SECONDS = 120
MASK = 2 ** 64 - 1


class ToolError(Exception):
    pass


class Tool:
    """One search or asha, in search_tool."""

    def __init__(self, path, first, **more):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, **more)
        try:
            self.say(first)
        except ToolError:
            self.process.wait(SECONDS)
            raise

    def say(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise ToolError(f"{answer['error']}: {answer['message']}")
        return answer

    def ask(self, number):
        return self.say({"do": "ask", "number": number}).get("values")

    def tell(self, number, value, state="complete"):
        message = {"do": "tell", "number": number, "state": state}
        self.say(message if value is None else {**message, "value": value})

    def report(self, number, step, value):
        return self.say({"do": "report", "number": number, "step": step, "value": value})["stop"]

    def restore(self, number, values, value, state="complete", points=()):
        message = {"do": "restore", "number": number, "values": values, "state": state,
                   "points": list(points)}
        self.say(message if value is None else {**message, "value": value})

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait(SECONDS)
        self.process.stdout.close()


def sampler_seed(seed, stage="train"):
    """The seed that the stage's sampler gets: see search_optuna.c and random.h."""
    digest = hashlib.sha256(f"{seed}\noptuna\n{stage}".encode()).digest()
    x = int.from_bytes(digest[8:16], "little") * 5 & MASK
    return ((x << 7 | x >> 57) * 9 & MASK) >> 32


def branin(v):
    x, y = v["x0"], v["x1"]
    return ((y - 5.1 / (4 * math.pi ** 2) * x * x + 5 / math.pi * x - 6) ** 2
            + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


A = [[10, 3, 17, 3.5, 1.7, 8], [.05, 10, 17, .1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, .05, 10, .1, 14]]
P = [[.1312, .1696, .5569, .0124, .8283, .5886], [.2329, .4135, .8307, .3736, .1004, .9991],
     [.2348, .1451, .3522, .2883, .3047, .665], [.4047, .8828, .8732, .5743, .1091, .0381]]


def hartmann6(v):
    x = [v[f"x{i}"] for i in range(6)]
    return -sum(c * math.exp(-sum(a * (t - p) ** 2 for a, t, p in zip(row, x, at)))
                for c, row, at in zip([1, 1.2, 3, 3.2], A, P))


def box(bounds):
    return [{"name": f"x{i}", "kind": "float", "lo": lo, "hi": hi} for i, (lo, hi) in enumerate(bounds)]


FUNCTIONS = {"branin": (branin, box([(-5, 10), (0, 15)])), "hartmann6": (hartmann6, box([(0, 1)] * 6))}
SAMPLERS = {"random": None, "tpe": ("TPESampler", {}), "tpe multivariate": ("TPESampler", {"multivariate": True}),
            "cma-es": ("CmaEsSampler", {})}
# Best value by trials: mean and standard deviation over 30 seeds, Optuna 3.1.0 by itself.
REFERENCE = {
    ("random", "branin"): {100: (.904, .496), 200: (.646, .243)},
    ("random", "hartmann6"): {100: (-2.047, .440), 200: (-2.296, .373)},
    ("tpe", "branin"): {100: (.430, .031), 200: (.407, .010)},
    ("tpe", "hartmann6"): {100: (-3.003, .383), 200: (-3.172, .258)},
    ("tpe multivariate", "branin"): {100: (.525, .125), 200: (.451, .072)},
    ("tpe multivariate", "hartmann6"): {100: (-3.085, .114), 200: (-3.162, .067)},
    ("cma-es", "branin"): {100: (.510, .280), 200: (.401, .016)},
    ("cma-es", "hartmann6"): {100: (-3.016, .157), 200: (-3.264, .057)},
}


def best_values(tool, sampler, function, seed, trials):
    """The best value after each trial, asked and told one after the other."""
    f, dimensions = FUNCTIONS[function]
    search = {"trials": trials, "seed": seed, "dimensions": dimensions}
    if SAMPLERS[sampler]:
        search.update(sampler=SAMPLERS[sampler][0], sampler_options=SAMPLERS[sampler][1])
    best, values = math.inf, []
    with Tool(tool, {"search": search}) as t:
        for number in range(trials):
            value = f(t.ask(number))
            t.tell(number, value)
            best = min(best, value)
            values.append(best)
    return values


def tool_path(build):
    return os.path.join(build, "test", "conformance", "search_tool")
