"""Drives one Optuna study for flambe, which embeds this text and runs it by `python3 -c`: ASCII only,
as the locale would decide what other characters are.

It reads one JSON message a line and answers each with a line, {"id": ..., "ok": ...} or {"id": ...,
"error": KIND, "message": ...}; a message with "quiet" gets no answer, and what goes wrong with it is
the answer to the next. The kinds: "missing" (a package is not installed, "package" names it),
"refused" (Optuna does not take what the file says), "failed" (anything else). It ends when its
input does, whatever it is at: a thread of its own waits for that.

What is not known to every Optuna from 3.1 on is not used.
"""
import sys

if sys.path and sys.path[0] == "":
    del sys.path[0]  # the user's random.py or json.py is not to be taken for Python's

import json
import os
import queue
import re
import threading
import warnings

# Whatever a package prints, or reads, is not part of the conversation.
wire_in = os.fdopen(os.dup(0), "r", encoding="utf-8")
wire_out = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)


class Refused(Exception):
    pass


def number(value):
    """A JSON number, or "nan", "inf" or "-inf", which JSON cannot write."""
    return float(value)


class Search:
    # Those whose state is beside the trials' values: what they suggested is asked for again. The
    # others learn from the values alone, and are told them.
    REPLAYED = ("CmaEsSampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler")

    def __init__(self, m):
        import optuna
        self.optuna = optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self.m = m
        self.dimensions = m["dimensions"]
        self.restored = 0
        self.trials = {}
        self.study = optuna.create_study(
            study_name="flambe", direction="maximize" if m["maximize"] else "minimize",
            sampler=self.make_sampler(m["seed"]), pruner=self.make_pruner())

    def make(self, module, base, name, options, **more):
        kind = getattr(module, name, None)
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise Refused(f"Optuna {self.optuna.__version__} has no '{name}'")
        try:
            return kind(**options, **more)
        except ImportError:
            raise
        except Exception as e:
            raise Refused(f"Optuna does not take the options of '{name}': {e}") from e

    def make_sampler(self, seed):
        samplers = self.optuna.samplers
        return self.make(samplers, samplers.BaseSampler, self.m["sampler"],
                         self.m["sampler_options"], seed=seed)

    def make_pruner(self):
        pruners = self.optuna.pruners
        return self.make(pruners, pruners.BasePruner, self.m["pruner"] or "NopPruner",
                         self.m["pruner_options"])

    def active(self, chosen):
        """The dimensions that mean something, as their parents are chosen meanwhile."""
        for i, d in enumerate(self.dimensions):
            if d["parent"] < 0 or chosen.get(d["parent"]) == d["element"]:
                yield i, d

    def suggest(self, trial):
        chosen = {}
        for i, d in self.active(chosen):
            if d["kind"] == "category":
                chosen[i] = trial.suggest_categorical(d["name"], range(d["count"]))
            elif d["kind"] == "int":
                chosen[i] = trial.suggest_int(d["name"], d["lo"], d["hi"], log=d["log"])
            else:
                chosen[i] = trial.suggest_float(d["name"], d["lo"], d["hi"], log=d["log"])
        return {self.dimensions[i]["name"]: v for i, v in chosen.items()}

    def distributions(self, values):
        kinds = self.optuna.distributions
        chosen, result = {}, {}
        for i, d in self.active(chosen):
            chosen[i] = values[d["name"]]
            if d["kind"] == "category":
                result[d["name"]] = kinds.CategoricalDistribution(range(d["count"]))
            elif d["kind"] == "int":
                result[d["name"]] = kinds.IntDistribution(d["lo"], d["hi"], log=d["log"])
            else:
                result[d["name"]] = kinds.FloatDistribution(d["lo"], d["hi"], log=d["log"])
        return result

    def ask(self, m):
        if m["number"] not in self.trials:
            if self.restored:
                # Its draws would begin anew, and the first trials would come again. QMC's seed is
                # its sequence's scrambling, in which the study itself knows the place.
                if self.m["sampler"] != "QMCSampler":
                    self.study.sampler = self.make_sampler(
                        (self.m["seed"] + self.restored) % 2 ** 32)
                self.restored = 0
            self.trials[m["number"]] = self.study.ask()
        return self.suggest(self.trials[m["number"]])

    def report(self, m):
        trial = self.trials[m["number"]]
        trial.report(number(m["value"]), m["step"])
        return bool(trial.should_prune()) if not m.get("quiet") else False

    def tell(self, m):
        state = self.optuna.trial.TrialState
        trial, value, points = self.trials[m["number"]], m["value"], m.get("points", [])
        for step, at in points:
            trial.report(number(at), step)
        if m["state"] == "complete" and value is not None and number(value) == number(value):
            self.study.tell(trial, number(value))
        elif m["state"] == "pruned":
            self.study.tell(trial, state=state.PRUNED)
        elif m["state"] != "running":
            self.study.tell(trial, state=state.FAIL)

    def restore(self, m):
        self.restored += 1
        if m["state"] == "running" or self.m["sampler"] in self.REPLAYED:
            self.study.enqueue_trial(m["values"])
            trial = self.trials[m["number"]] = self.study.ask()
            # A newer Optuna asks the sampler only for what is not known already: ask it all the same.
            getattr(trial, "relative_params", None)
            self.suggest(trial)
            self.tell(m)
            return
        state, value = self.optuna.trial.TrialState, m["value"]
        points = {step: number(at) for step, at in m["points"]}
        if m["state"] == "pruned":
            value = points[max(points)] if points else None
            value = None if value != value else value
        elif value is not None:
            value = number(value)
        good = m["state"] == "complete" and value is not None and value == value
        self.study.add_trial(self.optuna.trial.create_trial(
            state=state.PRUNED if m["state"] == "pruned" else state.COMPLETE if good else state.FAIL,
            value=value if good or m["state"] == "pruned" else None, params=m["values"],
            distributions=self.distributions(m["values"]), intermediate_values=points))


search = None


def carry_out(m):
    global search
    if m["do"] == "new":
        search = Search(m)
        return search.optuna.__version__
    return {"ask": search.ask, "report": search.report, "tell": search.tell,
            "restore": search.restore}[m["do"]](m)


def answer_to(m):
    try:
        return {"ok": carry_out(m)}
    except Refused as e:
        return {"error": "refused", "message": str(e)}
    except ImportError as e:
        package = re.search(r"No module named '(\w+)", str(e))
        return {"error": "missing", "message": str(e), "package": package[1] if package else ""}
    except Exception as e:
        return {"error": "failed", "message": f"{type(e).__name__}: {e}"}


def main():
    messages = queue.Queue()

    def read():
        for line in wire_in:
            messages.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    wire_out.write("\nflambe-optuna 1\n")
    wire_out.flush()
    kept = None
    while True:
        m = json.loads(messages.get())
        answer = kept or answer_to(m)
        if m.get("quiet"):
            kept = answer if "error" in answer else None
            continue
        wire_out.write(json.dumps({"id": m["id"], **answer}) + "\n")
        wire_out.flush()


main()
