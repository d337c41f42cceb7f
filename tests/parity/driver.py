"""What the comparisons of learning share: the driver's process, the job's schema, relative differences and their table."""
import collections
import json
import pathlib
import subprocess
import sys

import numpy as np

WIDE, NARROW = 1e-9, 1e-5  # largest relative difference in float64 and in float32
PLAIN = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
COMMON = {"type", "name", "inputs", "share"}  # options of every layer, which do not change what it computes


class Driver:
    def __init__(self, build):
        program = pathlib.Path(build) / "tests/parity/learn_driver"
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **case):
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the driver died of {json.dumps(case)}"
        return json.loads(answer)


def exact(x):
    """Numbers that float32 holds, too."""
    return np.asarray(x, dtype=np.float32).astype(float)


def all_options(one_of, random, together=8):
    """None, each option by itself at each value, and TOGETHER random choices of several."""
    yield {}
    for name, values in one_of.items():
        for value in values:
            yield {name: value}
    names = [name for name, values in one_of.items() if len(values)]
    for _ in range(together if len(names) > 1 else 0):
        some = random.permutation(names)[:random.integers(2, len(names) + 1)]
        yield {str(name): one_of[name][random.integers(len(one_of[name]))] for name in sorted(some)}


def array(x):
    """As the driver reads it."""
    x = np.asarray(x)
    return {"shape": list(x.shape), "values": x.ravel().tolist(), "labels": bool(x.dtype.kind == "i")}


def numpy_of(x):
    """As the driver writes it; of no gradient: None."""
    if x is None:
        return None
    shape, values = (x["shape"], x["values"]) if isinstance(x, dict) else (None, x)
    values = np.array([PLAIN.get(v, v) for v in values], dtype=float)
    return values if shape is None else values.reshape(shape)


def difference(ours, theirs):
    """The largest one of some arrays, as a part of the largest number among them all; no gradient is one of zeros."""
    ours, theirs = dict(ours), dict(theirs)
    assert set(ours) == set(theirs), f"names differ: {sorted(set(ours) ^ set(theirs))}"
    largest = apart = 0.0
    for name, b in theirs.items():
        a = ours[name]
        if a is None or b is None:
            a = np.zeros_like(b if a is None else a) if a is None and b is not None else a
            b = np.zeros_like(a) if b is None and a is not None else b
        if a is None:
            continue
        assert a.shape == b.shape, f"{name} has shape {a.shape}, but should have {b.shape}"
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        if not same.all():
            apart = max(apart, float(np.abs(np.where(same, 0, a - np.where(same, 0, b))).max()))
        largest = max(largest, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
    return apart / max(largest, 1e-30) if apart else 0.0


# ---- What weights start from -------------------------------------------------------------------------------------

START_BOUNDS = {"mean": 0.05, "deviation": 0.04, "distance": 0.04, "singular": 0.1}
START_OPTIONS = ("init", "unit_forget_bias", "joint_fans")  # names' ends: those that nothing else depends on


def drawn(weights):
    """WEIGHTS() gives arrays by name, drawn anew each time: so many of them that the smallest has some 10,000 numbers."""
    first = weights()
    n = int(np.clip(10000 // min(w.size for w in first.values()), 16, 64))
    more = [first] + [weights() for _ in range(n - 1)]
    return {name: np.stack([one[name] for one in more]) for name in first}


def starts(driver, layers, shape, n, tokens=0, defaults="pytorch"):
    """What the model's weights start from by name, with N seeds: [N, *shape]."""
    case = dict(spec={"model": {"layers": layers}, "defaults": defaults}, input={"shape": shape}, tokens=tokens)
    answers = [driver.ask(start=seed, **case) for seed in range(1, n + 1)]
    if "fault" in answers[0]:
        raise ValueError(answers[0]["fault"])
    return {name: np.stack([numpy_of(a["weights"][name]) for a in answers]) for name in answers[0]["weights"]}


def farthest(a, b):
    """Kolmogorov and Smirnov's: the largest difference of the shares that are below a number."""
    a, b = np.sort(a, None), np.sort(b, None)
    x = np.concatenate((a, b))
    return float(np.abs(np.searchsorted(a, x, "right") / a.size - np.searchsorted(b, x, "right") / b.size).max())


def singular(x):
    """Of matrices [N, rows, ..], their mean, the largest first."""
    return np.linalg.svd(x.reshape(*x.shape[:2], -1), compute_uv=False).mean(0)


def start_difference(ours, theirs):
    """How far apart two ways to draw numbers are: of each column of START_BOUNDS the worst."""
    assert set(ours) == set(theirs), f"names differ: {sorted(set(ours) ^ set(theirs))}"
    worst = dict.fromkeys(START_BOUNDS, 0.0)
    for name, b in theirs.items():
        a = ours[name]
        assert a.shape == b.shape, f"{name} has shape {a.shape}, but should have {b.shape}"
        if not b.std(0).any():  # no numbers drawn at random
            worst["mean"] = max(worst["mean"], np.abs(a - b).max())
            continue
        size = max(b.std(), abs(b.mean()))
        found = {"mean": abs(a.mean() - b.mean()) / size, "deviation": abs(a.std() / b.std() - 1), "distance": farthest(a, b)}
        if b.ndim > 2:
            s = singular(b)
            found["singular"] = np.abs(singular(a) - s).max() / s.max()
        worst = {column: max(worst[column], found.get(column, 0)) for column in worst}
    return worst


def of_starts(types):
    """Of TYPES those, and of these the options, that are about starts."""
    about = {name: {o: d for o, d in options.items() if o.endswith(START_OPTIONS)} for name, options in types.items()}
    return {name: options for name, options in about.items() if options}


# ---- The table -------------------------------------------------------------------------------------------------------


def schema(build, family):
    """The family's types, each with its options and their default under "defaults": "keras"."""
    text = subprocess.run([pathlib.Path(build) / "tandem-worker", "--schema"], capture_output=True, text=True, check=True).stdout
    types = {}
    for one in json.loads(text)["$defs"][family]["oneOf"]:
        if one.get("type") == "object":
            types[one["properties"]["type"]["const"]] = {name: option for name, option in one["properties"].items() if name not in COMMON}
    return types


class Table:
    """One row for each type of a family: what was compared, and the largest differences.  Every type and every option has
    a comparison or a reason why it has none."""

    def __init__(self, title, types, columns, bounds, silent):
        self.title, self.types, self.columns, self.bounds, self.silent = title, types, columns, bounds, silent
        self.worst = collections.defaultdict(dict)
        self.options = collections.defaultdict(dict)  # of each type those compared, with their values as JSON
        self.count = collections.Counter()
        self.faults = []

    def add(self, name, spec, differences):
        self.count[name] += 1
        for option, value in spec.items():
            if option not in COMMON:
                self.options[name].setdefault(option, set()).add(json.dumps(value))
        for column, value in differences.items():
            self.worst[name][column] = max(self.worst[name].get(column, 0), value)
            if not value <= self.bounds[column]:
                self.fault(name, f"{column}: {value:.1e} is more than {self.bounds[column]:g}, of {json.dumps(spec)}")

    def fault(self, name, text):
        self.faults.append(f"{name}: {text}")

    def finish(self):
        """Prints the table and returns whether all is well."""
        print(f"\n{self.title}\n{'':28}{'cases':>6} " + "".join(f"{c:>12}" for c in self.columns) + "  options")
        for name in sorted(set(self.types) | set(self.count)):
            if not self.count[name]:
                print(f"{name:28}not compared: {self.silent.get(name, 'NO REASON GIVEN')}")
                if name not in self.silent:
                    self.fault(name, "is neither compared nor is there a reason why not")
                continue
            cells = "".join(f"{self.worst[name][c]:12.1e}" if c in self.worst[name] else f"{'-':>12}" for c in self.columns)
            print(f"{name:28}{self.count[name]:6} {cells}  {' '.join(sorted(self.options[name]))}")
            for option in sorted(self.types.get(name, {})):
                self.finish_option(name, option)
        return self.tell_faults()

    def finish_option(self, name, option):
        """An option is compared at its default and, where it has but a few values, at all of them."""
        schema, seen = self.types[name][option], self.options[name].get(option)
        values = schema.get("enum", [False, True] if schema.get("type") == "boolean" else [])
        left = [v for v in values if seen is not None and json.dumps(v) not in seen and v != schema.get("default")]
        what = option if seen is None else f"{option} {json.dumps(left)[1:-1]}"
        if seen is not None and not left:
            return
        reason = self.silent.get(f"{name}.{option}") or self.silent.get(f"*.{option}")
        if reason:
            print(f"{'':28}not compared: {what}: {reason}")
        else:
            self.fault(name, f"its option {what} is neither compared nor is there a reason why not")

    def tell_faults(self):
        for text in self.faults[:40]:
            print(f"  WRONG {text}")
        if len(self.faults) > 40:
            print(f"  and {len(self.faults) - 40} more")
        return not self.faults


def compare_all(*makers):
    """What each maker's table says, of the build that the command line names; a table that is not well is a failure."""
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    driver = Driver(build)
    good = [make(driver, build).finish() for make in makers]
    sys.exit(not all(good))
