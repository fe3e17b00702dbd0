"""Put small faults into the mathematics, one at a time, and see which of them the tests notice.

A random sample of all faults (see `mutations.py`) is drawn; the share of it that is killed, those
judged equivalent in `mutants_equivalent.yaml` left out, estimates the share of all, with Wilson's
interval. Which tests execute which function is measured once with coverage.py and kept in
`.mutants/`, anew where a test file has changed. This process imports PyTorch and pytest and never
the package; for each fault it forks a child, which imports the package with the fault in it and
runs, file after file until the first failure, the quick tests that execute the faulty function:
those of the same name first, then those that take least time. A fault is killed by a failure, by
running out of time (see TIMES), or by a dead interpreter. It survives when no test fails: also
when there is none, or when more tests are left than fit into --budget.

    python benchmarks/mutants.py [--sample 300] [--seed 0] [--only core engine/taps] [--jobs 2]
                                 [--write NAME]

Neither mutmut 3 nor cosmic-ray does this: the one leaves out decorated functions, defaults and
class bodies, the other starts an interpreter (seconds, for PyTorch alone) for each fault.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import platform
import random
import resource
import shlex
import signal
import sys
import tempfile
import time
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

import coverage
import hypothesis
import pytest
import yaml
from mutations import Mutant, mutants, scope_of_lines
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "counterpoise"
STORE = ROOT / ".mutants"
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.yaml")

ROOMS = ("core", "engine", "methods", "measures")
"""What is mutated: the mathematics and what runs it."""

DATA = ("methods/bibliography.py",)
"""Files of data, which faults of these kinds say nothing about."""

TESTS = tuple(f"{room}/**/test_*.py" for room in (*ROOMS, "zoo", "wrong_calls"))
"""The tests of them, beside the examples in the mutated files' own docstrings."""

PRELOADED: tuple[str, ...] = (
    "torch._dynamo",
    "sklearn.linear_model",
    "scipy.stats",
    "torchmetrics",
)
PRELOADED += ("statsmodels.api", "transformers")

TIMES, GRACE = 8, 20
"""A file's tests may take this many times the processor time that they take without a fault, and
so many seconds more."""

SURVIVED = "nothing"
"""In place of the name of what killed it."""

OPTIONS: tuple[str, ...] = (
    "-x",
    "-q",
    "--tb=no",
    "--no-header",
    "-p",
    "no:xdist",
    "-m",
    "not slow",
)
OPTIONS += ("-W", "ignore:Module already imported so cannot be rewritten")
# Rewriting would also load a file of examples, which is the faulty one, past the fault.
OPTIONS += ("--assert=plain",)


@dataclass
class TestFile:
    """What is known of a file with tests.

    Attributes:
        stamp: Of its text: when it changes, so may what it executes.
        seconds: Processor time of each test, by its id.
        scopes: By file and function of the package, the tests that execute it.
    """

    stamp: str
    seconds: dict[str, float]
    scopes: dict[str, list[str]]


# -- which tests execute which function ----------------------------------------------------------


class _Contexts:
    """A plug-in of pytest that tells coverage.py which test runs, and takes its time.

    What a fixture of several tests executes counts for all tests of the file.
    """

    def __init__(self, measuring: coverage.Coverage) -> None:
        self.measuring, self.now = measuring, ""
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Measure a test by its name."""
        self._switch(item.nodeid)
        started = time.process_time()
        yield
        self.seconds[item.nodeid] = time.process_time() - started

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Measure what several tests share under no name."""
        before = self.now
        if fixturedef.scope != "function":
            self._switch("")
        result = yield
        self._switch(before)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what fails without any fault."""
        if report.failed:
            self.failed.append(report.nodeid)

    def _switch(self, name: str) -> None:
        self.now = name
        self.measuring.switch_context(name)


def _measure(path: str) -> TestFile:
    """Run a file's quick tests and note which functions each executes."""
    measuring = coverage.Coverage(data_file=None, source=[str(PACKAGE)], config_file=False)
    contexts = _Contexts(measuring)
    measuring.start()
    pytest.main([path, *OPTIONS[1:]], plugins=[contexts])
    measuring.stop()
    if contexts.failed:
        raise RuntimeError(f"{path} fails without any fault: {', '.join(contexts.failed)}")
    data = measuring.get_data()
    scopes: dict[str, set[str]] = defaultdict(set)
    for file in data.measured_files():
        below = Path(file).relative_to(PACKAGE).as_posix()
        names = scope_of_lines(Path(file).read_text("utf-8"))
        for line, tests in data.contexts_by_lineno(file).items():
            for test in tests:
                executed = contexts.seconds if test == "" and names.get(line) else [test]
                scopes[f"{below}::{names.get(line, '')}"].update(executed)
    for names_of_tests in scopes.values():
        names_of_tests.discard("")  # what an import executes
    found = {key: sorted(tests) for key, tests in scopes.items() if tests}
    return TestFile(_stamp(path), contexts.seconds, found)


def _stamp(path: str) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def executed(jobs: int) -> dict[str, TestFile]:
    """Return what each test file executes, from the store where the file is as it was."""
    STORE.mkdir(exist_ok=True)
    kept = STORE / "executed.json"
    known = {}
    if kept.exists():
        known = {k: TestFile(**v) for k, v in json.loads(kept.read_text()).items()}
    files = [path for pattern in TESTS for path in (ROOT / "tests").glob(pattern)]
    files += [PACKAGE / file for file in sources()]
    paths = sorted({str(path.relative_to(ROOT)) for path in files})
    new = [p for p in paths if p not in known or known[p].stamp != _stamp(p)]
    for path, text in in_children(new, lambda path: json.dumps(vars(_measure(path))), jobs, 3600):
        if not text.startswith("{"):
            sys.exit(f"{path} could not be measured: {text}")
        known[path] = TestFile(**json.loads(text))
        print(f"{path}: {sum(known[path].seconds.values()):.1f} s", flush=True)
        kept.write_text(json.dumps({p: vars(known[p]) for p in paths if p in known}))
    return {path: known[path] for path in paths}


# -- children ------------------------------------------------------------------------------------


def in_children(
    tasks: Iterable[Any], work: Callable[[Any], str], jobs: int, seconds: float
) -> Iterator[tuple[Any, str]]:
    """Do each task in a forked child; yield it with what the child returned or died of.

    Args:
        tasks: In order.
        work: Runs in the child and returns a text.
        jobs: Children at a time.
        seconds: A child is ended after these, by the clock.
    """
    waiting = list(tasks)[::-1]
    running: dict[int, Any] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            task, answer = waiting.pop(), tempfile.TemporaryFile("w+")  # noqa: SIM115
            pid = os.fork()
            if pid == 0:
                _become(work, task, answer)
            running[pid] = task, answer, time.monotonic() + seconds
        for pid, (task, answer, end) in list(running.items()):
            if time.monotonic() > end:
                os.killpg(pid, signal.SIGKILL)
            if not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what it has started
            status = os.waitpid(pid, 0)[1]
            with answer:
                answer.seek(0)
                text = answer.read()
            died = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "exit"
            del running[pid]
            yield task, text or died
        time.sleep(0.02)


def _become(work: Callable[[Any], str], task: Any, answer: IO[str]) -> None:
    """Be a child: work in silence, write the result, and leave without any clean-up."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        text = work(task)
    except BaseException as error:  # whatever it is, the parent reports it
        text = f"{type(error).__name__}: {error}"
    answer.write(text)
    answer.flush()
    os._exit(0)


# -- faults --------------------------------------------------------------------------------------


def sources() -> list[str]:
    """List the files that are mutated, below the package."""
    paths = [p for room in ROOMS for p in sorted((PACKAGE / room).rglob("*.py"))]
    return [f for p in paths if (f := p.relative_to(PACKAGE).as_posix()) not in DATA]


def all_mutants(only: Iterable[str]) -> list[Mutant]:
    """List all faults, of files whose paths begin with one of some texts."""
    chosen = [f for f in sources() if not only or f.startswith(tuple(only))]
    return [m for f in chosen for m in mutants(f, (PACKAGE / f).read_text("utf-8"))]


def tests_of(
    mutant: Mutant, files: dict[str, TestFile], budget: float
) -> list[tuple[str, list[str], float]]:
    """List the files whose tests execute a fault, with those tests and their time."""
    found = []
    for path, file in files.items():
        reached: set[str] = set()
        for key, tests in file.scopes.items():
            name, _, scope = key.partition("::")
            if name == mutant.file and f"{scope}.".startswith(f"{mutant.scope}.".lstrip(".")):
                reached.update(tests)
        if reached:
            found.append((path, sorted(reached), sum(file.seconds[i] for i in reached)))
    stem = Path(mutant.file).stem.strip("_")
    found.sort(key=lambda entry: (stem not in Path(entry[0]).stem, entry[2]))
    left, chosen = budget, []
    for path, some, seconds in found:
        ids = some
        if seconds > left:  # of the cheapest as many as fit
            cheap = sorted(ids, key=lambda i: files[path].seconds[i])
            sums = list(accumulate(files[path].seconds[i] for i in cheap))
            ids = cheap[: bisect(sums, left)]
            seconds = sums[len(ids) - 1] if ids else 0.0
        if ids:
            chosen.append((path, sorted(ids), seconds))
            left -= seconds
    return chosen


def kill(mutant: Mutant, files: dict[str, TestFile], budget: float) -> str:
    """Run the tests of a fault; return what killed it, or nothing."""
    original: Any = SourceFileLoader.get_code
    name = "counterpoise." + mutant.file.removesuffix(".py").replace("/", ".")
    name = name.removesuffix(".__init__")

    def get_code(loader: SourceFileLoader, fullname: str) -> Any:
        if fullname == name:
            return compile(mutant.source, str(PACKAGE / mutant.file), "exec")
        return original(loader, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    for path, ids, seconds in tests_of(mutant, files, budget):
        signal.setitimer(signal.ITIMER_PROF, TIMES * seconds + GRACE)  # then it dies of SIGPROF
        if _run(path, ids, every=len(ids) == len(files[path].seconds)):
            return path
    return SURVIVED


def _run(path: str, ids: list[str], *, every: bool) -> int:
    code = pytest.main([*([path] if every else ids), *OPTIONS])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED) and not every:
        code = pytest.main([path, *OPTIONS])  # the fault has changed the names of cases
    return int(code)


# -- the report ----------------------------------------------------------------------------------


def equivalent() -> dict[tuple[str, ...], str]:
    """Return the reasons why some faults change nothing that a test could see."""
    entries = yaml.safe_load(EQUIVALENT.read_text("utf-8")) or []
    return {tuple(e[k] for k in ("file", "in", "was", "becomes")): e["why"] for e in entries}


def judge(sample: list[Mutant], arguments: argparse.Namespace) -> list[tuple[Mutant, str]]:
    """Run the tests on each fault; survivors are printed as they are found."""
    for name in PRELOADED:
        importlib.import_module(name)
    # The same examples in every child, and no search for the smallest one that fails.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    quick = hypothesis.settings(database=None, derandomize=True, phases=phases)
    hypothesis.settings.register_profile("mutants", quick)
    hypothesis.settings.load_profile("mutants")
    files = executed(arguments.jobs)

    def work(mutant: Mutant) -> str:
        return kill(mutant, files, arguments.budget)

    judged = []
    for mutant, killer in in_children(sample, work, arguments.jobs, 20 * arguments.budget):
        judged.append((mutant, killer))
        if killer == SURVIVED:
            print(shown(mutant), flush=True)
        if len(judged) % 50 == 0:
            print(f"{len(judged)} of {len(sample)}", flush=True)
    return judged


def shown(mutant: Mutant) -> str:
    """Return where a fault is, and what it changes."""
    old = "".join(f"\n- {line.strip()}" for line in mutant.was.splitlines())
    new = "".join(f"\n+ {line.strip()}" for line in mutant.becomes.splitlines())
    place = f"{mutant.file}:{mutant.line}, {mutant.scope or 'module'}"
    return f"{place} ({mutant.operator}){old}{new}\n"


def main() -> None:
    """Draw a sample, judge it, and print or write what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--sample", type=int, default=300, help="faults to draw; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--only", nargs="*", default=(), help="beginnings of paths")
    parser.add_argument("--jobs", type=int, default=2, help="children at a time")
    parser.add_argument("--budget", type=float, default=90, help="seconds of tests for a fault")
    parser.add_argument("--write", metavar="FILE", help="also write the report there")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    everything, reasons = all_mutants(arguments.only), equivalent()
    sample = everything
    if 0 < arguments.sample < len(everything):
        sample = random.Random(arguments.seed).sample(everything, arguments.sample)
    started = time.monotonic()
    judged = judge([m for m in sample if m.key not in reasons], arguments)
    text = report(judged, len(everything), len(sample), time.monotonic() - started)
    print(text)
    if arguments.write:
        Path(arguments.write).write_text(text, "utf-8")


def report(judged: list[tuple[Mutant, str]], num_all: int, num_drawn: int, seconds: float) -> str:
    """Return the counts, the estimate with its interval, and every survivor."""
    survivors = [m for m, killer in judged if killer == SURVIVED]
    killed, count = len(judged) - len(survivors), max(len(judged), 1)
    low, high = proportion_confint(killed, count, method="wilson")
    by_operator = Counter(m.operator for m, _ in judged)
    missed = Counter(m.operator for m in survivors)
    lines = [
        "# Faults that the tests notice",
        "",
        f"- Command: `python {shlex.join(sys.argv)}`",
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {seconds / 60:.0f} minutes",
        f"- Python {platform.python_version()}, PyTorch {version('torch')}, "
        f"pytest {version('pytest')}, coverage {version('coverage')}",
        f"- Of {num_all} faults {num_drawn} were drawn; {num_drawn - len(judged)} of them are "
        "judged equivalent.",
        f"- Killed: {killed} of {len(judged)}, {killed / count:.1%} "
        f"(95% interval {low:.1%} to {high:.1%}).",
        "",
        "| kind of fault | drawn | survived |",
        "|---|---|---|",
        *(f"| {name} | {n} | {missed[name]} |" for name, n in sorted(by_operator.items())),
        "",
        "## Survivors",
        *(f"\n```diff\n{shown(m)}```" for m in survivors),
        "" if survivors else "\nNone.\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
