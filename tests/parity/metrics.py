"""Compares our metrics with scikit-learn's, to 1e-12, on random cases: ties, absent classes, one-class splits, one sample.

    make build/tests/parity/metrics_driver && .parity/bin/python tests/parity/metrics.py [build [cases]]
"""
import json
import math
import subprocess
import sys
import warnings

import numpy as np
import sklearn
from sklearn import metrics as m
from sklearn.preprocessing import label_binarize

TOLERANCE = 1e-12
warnings.filterwarnings("ignore")  # of the undefined: what is returned then is what is compared
build = sys.argv[1] if len(sys.argv) > 1 else "build"
driver = subprocess.Popen([f"{build}/tests/parity/metrics_driver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
n_cases = int(sys.argv[2]) if len(sys.argv) > 2 else 300
random = np.random.default_rng(7)


def number(x):
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(x, x)


def plain(x):
    return x.tolist() if isinstance(x, np.ndarray) else x


def ask(**case):
    driver.stdin.write(json.dumps({k: plain(v) for k, v in case.items()}) + "\n")
    driver.stdin.flush()
    return json.loads(driver.stdout.readline())


n_compared = 0


def same(what, ours, theirs, case):
    global n_compared
    ours, theirs = number(ours), float(theirs)
    n_compared += 1
    if not (abs(ours - theirs) <= TOLERANCE * max(1, abs(theirs)) or math.isnan(ours) and math.isnan(theirs)):
        sys.exit(f"{what} is {ours!r}, but scikit-learn says {theirs!r}, of\n{json.dumps({k: plain(v) for k, v in case.items()})}")


def probabilities(n, classes):
    """Rows that sum to about 1, in float32; often coarse, so that there are ties within and between rows."""
    x = random.integers(1, random.choice([3, 6, 1000]), size=(n, classes)).astype(float)
    return (x / x.sum(1, keepdims=True)).astype(np.float32).astype(float)


def labels(n, classes):
    there = random.choice(classes, size=random.integers(1, classes + 1), replace=False)  # the other classes are absent
    return random.choice(there, size=n)


def undefined(f, *args, **options):
    """What scikit-learn refuses or warns about is not a number."""
    try:
        return f(*args, **options)
    except ValueError:
        return math.nan


def compare_classes(n, classes):
    p, y = probabilities(n, classes), labels(n, classes)
    case = dict(target="class", classes=classes, answer=p, label=y, batch=int(random.integers(1, 9)))
    if random.random() < 0.2:  # the same as shares
        case = dict(case, target="shares", share=np.eye(classes)[y])
        del case["label"]
    guess = p.argmax(1)

    same("accuracy", ask(metric="accuracy", **case)["value"], m.accuracy_score(y, guess), case)
    averages = ["macro", "micro", "weighted"] + (["binary"] if classes == 2 else [])
    for average in averages:
        for name, f in (("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)):
            ours = ask(metric={"type": name, "average": average}, **case)["value"]
            same(f"{name} {average}", ours, f(y, guess, average=average, zero_division=0), case)
    for k in range(1, classes):
        theirs = (m.top_k_accuracy_score(y, p, k=k, labels=range(classes)) if classes > 2
            else m.accuracy_score(y, guess))
        same(f"top_{k}", ask(metric={"type": "top_k", "k": k}, **case)["value"], theirs, case)

    one_hot = label_binarize(y, classes=range(classes)) if classes > 2 else y
    scores = p if classes > 2 else p[:, 1]
    ours = ask(metric="average_precision", **case)
    same("average_precision", ours["value"], m.average_precision_score(one_hot, scores), case)
    compare_pr(ours["curves"], one_hot, scores, case)
    ours = ask(metric="roc_auc", **case)
    same("roc_auc", ours["value"], undefined(m.roc_auc_score, one_hot, scores), case)
    compare_roc(ours["curves"], one_hot, scores, case)


def columns(one_hot, scores):
    return ({1: (one_hot, scores)} if one_hot.ndim == 1 else
        {k: (one_hot[:, k], scores[:, k]) for k in range(one_hot.shape[1])})


def compare_pr(curves, one_hot, scores, case):
    drawn = {c["class"]: c for c in curves}
    for k, (y, s) in columns(one_hot, scores).items():
        if not y.any():
            assert k not in drawn
            continue
        same("a curve's average_precision", drawn[k]["average_precision"], m.average_precision_score(y, s), case)
        precision, recall, _ = m.precision_recall_curve(y, s)
        if len(recall) <= 200:
            assert np.allclose(drawn[k]["recall"], recall[::-1], atol=1e-6), (case, drawn[k], recall)
            assert np.allclose(drawn[k]["precision"], precision[::-1], atol=1e-6), case
        else:
            assert len(drawn[k]["recall"]) <= 200 and drawn[k]["recall"][-1] == 1
            assert math.isclose(min(drawn[k]["precision"]), precision.min(), abs_tol=1e-6), case
            assert math.isclose(drawn[k]["precision"][-1], precision[0], abs_tol=1e-6), case


def compare_roc(curves, one_hot, scores, case):
    drawn = {c["class"]: c for c in curves}
    for k, (y, s) in columns(one_hot, scores).items():
        if y.all() or not y.any():
            assert k not in drawn
            continue
        same("a curve's auc", drawn[k]["auc"], m.roc_auc_score(y, s), case)
        fpr, tpr, _ = m.roc_curve(y, s, drop_intermediate=False)
        if len(fpr) <= 200:
            assert np.allclose(drawn[k]["fpr"], fpr, atol=1e-6) and np.allclose(drawn[k]["tpr"], tpr, atol=1e-6), case
        else:
            assert len(drawn[k]["fpr"]) <= 200
            assert abs(m.auc(drawn[k]["fpr"], drawn[k]["tpr"]) - m.auc(fpr, tpr)) < 0.01, case


def compare_tokens(n, classes, steps):
    p, y = probabilities(n * steps, classes), labels(n * steps, classes)
    counts = random.random(n * steps) < 0.7
    case = dict(target="tokens", classes=classes, steps=steps, answer=p, label=np.where(counts, y, -100),
        loss=-np.log(p[np.arange(n * steps), y]).astype(np.float32).astype(float), batch=2)
    y, p, loss = y[counts], p[counts], np.array(case["loss"])[counts]
    if not len(y):
        assert math.isnan(number(ask(metric="f1", **case)["value"]))
        return
    guess = p.argmax(1)
    same("accuracy of tokens", ask(metric="accuracy", **case)["value"], m.accuracy_score(y, guess), case)
    same("f1 of tokens", ask(metric="f1", **case)["value"], m.f1_score(y, guess, average="macro", zero_division=0), case)
    same("perplexity", ask(metric="perplexity", **case)["value"], np.exp(loss.mean()), case)


def compare_values(n, width):
    scale, offset = 10.0 ** random.integers(-3, 4), 1000.0 * random.integers(0, 2)
    y = (random.normal(size=(n, width)) * scale + offset).astype(np.float32).astype(float)
    if random.random() < 0.2:
        y[:, 0] = y[0, 0]  # a target that never changes
    p = y.copy() if random.random() < 0.1 else (y + random.normal(size=(n, width)) * scale).astype(np.float32).astype(float)
    case = dict(target="values", width=width, answer=p, value=y, batch=int(random.integers(1, 9)))
    same("mae", ask(metric="mae", **case)["value"], m.mean_absolute_error(y, p), case)
    same("mse", ask(metric="mse", **case)["value"], m.mean_squared_error(y, p), case)
    same("rmse", ask(metric="rmse", **case)["value"], m.root_mean_squared_error(y, p), case)
    same("r2", ask(metric="r2", **case)["value"], undefined(m.r2_score, y, p), case)


for i in range(n_cases):
    n = int(random.choice([1, 2, 5, 20, 100, 1000]))
    compare_classes(n, int(random.choice([2, 2, 3, 5, 11])))
    compare_tokens(n, int(random.choice([2, 4])), int(random.integers(1, 6)))
    compare_values(n, int(random.integers(1, 4)))
driver.stdin.close()
print(f"metrics: {n_compared} figures agree with scikit-learn {sklearn.__version__} to {TOLERANCE:g}")
