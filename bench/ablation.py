#!/usr/bin/env python3
"""Trains candidates, which are changes of a recipe, over several seeds by successive halving, and writes a table.

The candidates are in bench/ablation.json. All of them train with a small budget of epochs; the better part goes on to
the next budget. The base always stays, and all differences are to it. Figures are of the validation images
(--validation), never of the test set. Each run has one thread and a core of its own. A run that was finished is not
repeated, and one that was stopped is resumed: give the same command again.

Results go to one JSON file, and from it the table is made (--table makes it again, without training). A results file is
for one base: after a change of the recipe or of the program's arithmetic, begin another one (--results, --runs).
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import queue
import re
import shlex
import signal
import statistics
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NORMS = ("bn", "gn", "ln")
DIVERGED = 5  # the exit status of train_gpu


class Failure(Exception):
    pass


# ---- the list of candidates --------------------------------------------------------------------------------------


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read '{path}': {error}") from None


def read_candidates(path):
    """The candidates by name, the base first."""
    listed = read_json(path)
    try:
        found = {one["name"]: {key: str(one[key]) for key in ("name", "options", "why")} for one in listed["candidates"]}
        names = [one["name"] for one in listed["candidates"]]
        base = listed["base"]
    except (KeyError, TypeError) as error:
        raise Failure(f"'{path}' lacks {error}: it needs a base, and candidates with name, options and why") from None
    if len(set(names)) < len(names):
        raise Failure(f"'{path}' names a candidate twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    if base not in found:
        raise Failure(f"'{path}' has no candidate '{base}', which it names as the base")
    return {base: found[base], **found}


def check_options(options, candidates):
    """Lets the program parse the options of each candidate, before anything is trained."""
    for name, candidate in candidates.items():
        for norm in options.norms:
            command = [options.program, *arguments(options, candidate, norm, 1, 1), "--help"]
            with run_error():
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failure(f"candidate '{name}': {done.stderr.strip()}")


@contextlib.contextmanager
def run_error():
    try:
        yield
    except OSError as error:
        raise Failure(f"cannot run '{error.filename}': {error.strerror}; build it with make, or give --program") from None


# ---- runs --------------------------------------------------------------------------------------------------------


def arguments(options, candidate, norm, epochs, seed):
    return ["train", "--norm", norm, "--epochs", str(epochs), "--seed", str(seed), "--validation",
            str(options.validation), "--threads", "1", "--no-report", "--quiet", *shlex.split(options.common),
            *shlex.split(candidate["options"])]


def folder_of(options, candidate, norm, epochs, seed):
    """Other options lead to another folder, so that a run is never taken for one with other settings."""
    told = " ".join(arguments(options, candidate, norm, epochs, seed))
    name = re.sub(r"[^a-z0-9.]+", "-", candidate["name"].lower()).strip("-")
    return Path(options.runs) / f"{epochs}-epochs" / f"{name}-{norm}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


class Runner:
    """Trains runs, options.jobs at once, each on a core of its own."""

    def __init__(self, options, results):
        self.options, self.results = options, results
        self.lock = threading.Lock()
        self.children, self.failure, self.stopped = set(), None, None

    def stop(self, number, _frame=None):
        """Asks the runs to save a checkpoint and end. A second signal ends them at once."""
        self.stopped = number
        for child in list(self.children):
            child.terminate()

    def train(self, candidate, norm, epochs, seed):
        folder = folder_of(self.options, candidate, norm, epochs, seed)
        command = [self.options.program, *arguments(self.options, candidate, norm, epochs, seed), "--out", str(folder)]
        resumes = (folder / "checkpoint.safetensors").exists()
        with self.lock:  # a line at a time
            print(f"{'resume' if resumes else 'train'}: {epochs} epochs, {norm}, seed {seed}: {candidate['name']}",
                  flush=True)
        with run_error():  # a session of its own: a Ctrl-C comes to us, and from us, once
            # --force: a run that was stopped before its first checkpoint is in the folder
            child = subprocess.Popen([*command, "--resume" if resumes else "--force"], stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.children.add(child)
        if self.stopped:  # since the signal came in between
            child.terminate()
        message = child.communicate()[1].strip()
        self.children.discard(child)
        if child.returncode not in (0, DIVERGED):
            if self.stopped or self.failure:
                return
            raise Failure(f"candidate '{candidate['name']}', {norm}, {epochs} epochs, seed {seed}, in '{folder}': {message}")
        with self.lock:
            add_run(self.results, candidate, read_run(folder, norm, epochs, seed, child.returncode == DIVERGED))
            write_results(self.options.results, self.results)

    def work(self, jobs, core):
        """A thread: its children inherit its affinity."""
        os.sched_setaffinity(0, {core})
        while not self.stopped and not self.failure:
            try:
                self.train(*jobs.get_nowait())
            except queue.Empty:
                return
            except Exception as error:  # the other runs stop, too, and can be resumed; the main thread tells
                self.failure = self.failure or error
                self.stop(None)

    def train_all(self, jobs):
        todo, cores = queue.Queue(), sorted(os.sched_getaffinity(0))
        for job in jobs:
            todo.put(job)
        threads = [threading.Thread(target=self.work, args=(todo, cores[i % len(cores)])) for i in range(self.options.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure
        if self.stopped:
            print("stopped; the same command continues", file=sys.stderr)
            sys.exit(128 + self.stopped)


def read_run(folder, norm, epochs, seed, diverged):
    """The figures of the last epoch; none if the run diverged."""
    config = read_json(folder / "config.json")
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = {} if diverged else json.loads(lines[-1])
    return {"norm": norm, "epochs": epochs, "seed": seed, "parameters": config["parameters"],
            "accuracy": last.get("validation_accuracy"), "loss": last.get("validation_loss"),
            "train_accuracy": last.get("train_accuracy"), "dataset": config["dataset"]}


# ---- results -----------------------------------------------------------------------------------------------------


def version_of(program):
    with run_error():
        return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def open_results(options, candidates):
    """What is recorded already, for the same base and settings."""
    base = next(iter(candidates))
    settings = {"base": base, "validation": options.validation, "common": options.common}
    results = {**settings, "candidates": [], "runs": []}
    if Path(options.results).exists():
        results = read_json(options.results)
    for key, value in settings.items():
        if results.get(key) != value:
            raise Failure(f"'{options.results}' is for {key} {results.get(key)!r}, not {value!r}: choose another --results")
    for known in results["candidates"]:
        listed = candidates.get(known["name"])
        if listed and listed["options"] != known["options"]:
            raise Failure(f"candidate '{known['name']}' was measured with '{known['options']}', not with "
                          f"'{listed['options']}': give it another name, or choose another --results")
    results["program"] = version_of(options.program)
    return results


def add_run(results, candidate, run):
    dataset = run.pop("dataset")
    if results.setdefault("dataset", dataset) != dataset:
        raise Failure(f"the results are of {results['dataset']}, and this run is of {dataset}: choose another --results")
    results["date"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    results["candidates"] = [one for one in results["candidates"] if one["name"] != candidate["name"]] + [candidate]
    results["runs"].append({"candidate": candidate["name"], **run})


def write_whole(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write_results(path, results):
    """A line for each candidate and run, in an order that does not depend on which was finished first."""
    results["candidates"].sort(key=lambda one: (one["name"] != results["base"], one["name"]))
    results["runs"].sort(key=lambda run: (run["epochs"], run["candidate"], run["norm"], run["seed"]))
    parts = []
    for key, value in results.items():
        rows = ",\n".join("    " + json.dumps(row) for row in value) if isinstance(value, list) else ""
        parts.append(f'  "{key}": ' + (f"[\n{rows}\n  ]" if rows else json.dumps(value)))
    write_whole(path, "{\n" + ",\n".join(parts) + "\n}\n")


# ---- halving -----------------------------------------------------------------------------------------------------


def accuracies(results, name, norm, epochs, seeds=None):
    """Of the runs with these seeds, or of all; None for one that diverged."""
    return [run["accuracy"] for run in results["runs"]
            if (run["candidate"], run["norm"], run["epochs"]) == (name, norm, epochs) and (not seeds or run["seed"] in seeds)]


def better_part(results, names, norms, epochs, seeds, keep):
    """The base, and of the others the share `keep` with the best mean over norms and seeds; none that diverged."""
    means = {}
    for name in names:
        values = [value for norm in norms for value in accuracies(results, name, norm, epochs, seeds)]
        if None not in values:
            means[name] = statistics.fmean(values)
    others = sorted((name for name in means if name != results["base"]), key=lambda name: -means[name])
    return [results["base"], *others[:math.ceil(keep * (len(names) - 1))]]


def halve(options, candidates, results):
    runner = Runner(options, results)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, runner.stop)
    names = list(candidates)
    for stage, (epochs, seed_count) in enumerate(options.stages):
        seeds = range(1, seed_count + 1)
        done = {(run["candidate"], run["norm"], run["epochs"], run["seed"]) for run in results["runs"]}
        jobs = [(candidates[name], norm, epochs, seed) for seed in seeds for name in names for norm in options.norms
                if (name, norm, epochs, seed) not in done]
        print(f"{epochs} epochs: {len(names)} candidates, {len(jobs)} runs to train", flush=True)
        runner.train_all(jobs)
        if stage + 1 < len(options.stages):
            names = better_part(results, names, options.norms, epochs, seeds, options.keep)


# ---- the table ---------------------------------------------------------------------------------------------------


def spread(values):
    """Mean and deviation with the number of seeds."""
    if not values:
        return "-"
    if None in values:
        return f"diverged ({values.count(None)} of {len(values)})"
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{deviation} ({len(values)})"


def difference(values, base):
    """Mean difference to the base; None: unknown."""
    return None if not values or not base or None in values + base else statistics.fmean(values) - statistics.fmean(base)


def difference_text(values, base):
    """With its standard error, if both have more than one seed."""
    points = difference(values, base)
    if points is None:
        return "-"
    if min(len(values), len(base)) < 2:
        return f"{points:+.2f}"
    return f"{points:+.2f} ± {math.sqrt(sum(statistics.variance(part) / len(part) for part in (values, base))):.2f}"


def rows_of(results, epochs, norms):
    """Table rows of one budget, sorted by the mean difference over the norms that were measured, unknown ones last."""
    base, rows = results["base"], []
    for candidate in results["candidates"]:
        name, cells, points = candidate["name"], [], []
        parameters = {run["parameters"] for run in results["runs"] if (run["candidate"], run["epochs"]) == (name, epochs)}
        if not parameters:
            continue
        for norm in norms:
            values, base_values = (accuracies(results, which, norm, epochs) for which in (name, base))
            cells += [spread(values), "-" if name == base else difference_text(values, base_values)]
            points += [difference(values, base_values)] if values else []
        mean = None if None in points else statistics.fmean(points)
        counts = " to ".join(f"{count:,}" for count in sorted({min(parameters), max(parameters)}))
        cells.append("-" if mean is None or name == base else f"{mean:+.2f}")
        rows.append((-math.inf if mean is None else mean, f"| {name} | {counts} | {' | '.join(cells)} |"))
    return [row for _, row in sorted(rows, key=lambda row: -row[0])]


def budget_section(results, epochs):
    norms = [norm for norm in NORMS if any((run["norm"], run["epochs"]) == (norm, epochs) for run in results["runs"])]
    heads = ["change", "parameters", *(head for norm in norms for head in (norm, f"{norm} - base")), "mean difference"]
    lines = [f"## {epochs} epoch{'s' if epochs > 1 else ''}", "", f"| {' | '.join(heads)} |",
             "|---|" + "---:|" * (len(heads) - 1), *rows_of(results, epochs, norms), ""]
    samples = [accuracies(results, one["name"], norm, epochs) for one in results["candidates"] for norm in norms]
    samples = [values for values in samples if len(values) > 1 and None not in values]
    if samples:
        freedom = sum(len(values) - 1 for values in samples)
        pooled = math.sqrt(sum(statistics.variance(values) * (len(values) - 1) for values in samples) / freedom)
        lines += [f"Deviation between seeds, pooled over the table: {pooled:.2f} points ({freedom} degrees of freedom).", ""]
    return lines


def table(results):
    if not results["runs"]:
        raise Failure("there are no results yet")
    lines = ["# Ablation", "",
             f"Changes of the recipe, one candidate a row, on {results['dataset']}. Accuracies in percent on "
             f"{results['validation']:,} training images that were held out, after the last epoch: mean ± standard "
             "deviation (number of seeds). The test set was not used. Differences are to the base, in points, ± their "
             "standard error, which needs two seeds of both. A smaller budget is a whole training, with its schedule; the "
             "better part of its candidates went on to the next one.", "",
             *([f"All runs had `{results['common']}`.", ""] if results["common"] else []),
             f"Written by `bench/ablation.py` from its results: {results['program']}, {results['date']}.", ""]
    for epochs in sorted({run["epochs"] for run in results["runs"]}, reverse=True):
        lines += budget_section(results, epochs)
    lines += ["## The candidates", "", "| change | options | why |", "|---|---|---|"]
    for one in results["candidates"]:
        lines.append(f"| {one['name']} | {'`' + one['options'] + '`' if one['options'] else 'none'} | {one['why']} |")
    return "\n".join(lines) + "\n"


# ---- the command line --------------------------------------------------------------------------------------------


def stages_of(text):
    """"6:1,20:3" as [(6, 1), (20, 3)]."""
    stages = [tuple(int(number) for number in part.split(":")) for part in text.split(",")]
    if any(len(stage) != 2 or min(stage) < 1 for stage in stages) or len({epochs for epochs, _ in stages}) < len(stages):
        raise ValueError
    return stages


def norms_of(text):
    norms = text.split(",")
    if not set(norms) <= set(NORMS):
        raise ValueError
    return [norm for norm in NORMS if norm in norms]


def share(text):
    if not 0 < float(text) <= 1:
        raise ValueError
    return float(text)


def positive(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--candidates", default=ROOT / "bench/ablation.json", help="the list (bench/ablation.json)")
    add("--stages", type=stages_of, default="6:1,20:3", help="epochs:seeds of each budget (6:1,20:3)")
    add("--keep", type=share, default=0.5, help="the share of the candidates that goes on to the next budget (0.5)")
    add("--norms", type=norms_of, default="bn,gn,ln", help="which norms (bn,gn,ln)")
    add("--validation", type=positive, default=5000, help="training images held out (5000)")
    add("--common", default="", help='options of all runs, such as "--data DIR"')
    add("--jobs", type=positive, default=2, help="runs at a time, each on a core of its own (2)")
    add("--program", default=str(ROOT / "train_gpu"), help="the trainer (./train_gpu)")
    add("--runs", default=ROOT / "runs/ablation", help="folder for the runs (runs/ablation)")
    add("--results", default=ROOT / "bench/results/ablation.json", help="the results (bench/results/ablation.json)")
    add("--output", default=ROOT / "docs/ablation.md", help="the table (docs/ablation.md)")
    add("--table", action="store_true", help="train nothing, make the table from the results")
    return parser.parse_args()


def main():
    options = parse()
    try:
        if options.table:
            results = read_json(options.results)
        else:
            candidates = read_candidates(options.candidates)
            check_options(options, candidates)
            results = open_results(options, candidates)
            halve(options, candidates, results)
        write_whole(options.output, table(results))
    except Failure as failure:
        sys.exit(f"ablation.py: {failure}")


if __name__ == "__main__":
    main()
