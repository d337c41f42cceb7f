"""Every loss, optimizer and schedule of the job's schema against PyTorch, on random numbers and odd sizes: means and
gradients; ten updates with a learning rate that changes; the learning rates of a whole training.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/learning.py [build]
"""
import itertools
import json
import zlib

import numpy as np
import torch
from torch import optim

from driver import NARROW, WIDE, Table, all_options, array, compare_all, difference, exact, numpy_of, schema

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.Tensor.bfloat16 = lambda self: self.clone()  # Muon iterates in bfloat16; here it keeps the parameter's type
F = torch.nn.functional
S = optim.lr_scheduler
IGNORE = -100  # of the data: a target that does not count


# ---- Losses: outputs and targets by kind, and the mean as PyTorch has it ---------------------------------------------

CLASSES = 5
WEIGHT = {"weight": [[0.5, 2, 1.25, 0, 3]]}
SHAPES = [(4, CLASSES), (1, CLASSES), (7, CLASSES)]


def targets(kind, random, n):
    """Output and target of N samples."""
    output = random.normal(size=(n, CLASSES)) * 2
    labels = random.integers(0, CLASSES, n)
    if kind == "labels":
        return output, labels
    if kind == "tokens":  # classes last, some of them left out
        labels = random.integers(0, CLASSES, (n, 3))
        labels[0, 1] = IGNORE
        return random.normal(size=(n, 3, CLASSES)), labels
    if kind == "shares":
        return output, random.dirichlet(np.ones(CLASSES), n)
    if kind == "values":
        return output, random.normal(size=output.shape) * 2
    if kind == "binary":
        return random.normal(size=(n, 1)) * 3, random.integers(0, 2, n)
    raise KeyError(kind)


def probabilities(kind, random, n):
    output, target = targets(kind, random, n)
    p = np.exp(output) if kind != "binary" else 1 / (1 + np.exp(-output))
    return (p / p.sum(-1, keepdims=True) if kind != "binary" else p), target


def classes_first(f):
    """F takes the classes on axis 1, and what does not count as ignore_index, once; the data's joins the option's."""
    def call(o, y, **options):
        if "weight" in options:
            options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
        ignore = options.pop("ignore_index", None)
        if ignore is not None:
            if y.is_floating_point():
                raise ValueError("shares have no label to ignore")
            y = torch.where(y == ignore, IGNORE, y)
        return f(o.movedim(-1, 1), y, **options)
    return call


def from_probabilities(o, y, **options):
    """log_softmax of the logarithms is the logarithm of shares; keras_defaults.py compares what is near 0."""
    return classes_first(F.cross_entropy)(o.log(), y, **options)


def wide(f):
    return lambda o, y, **options: f(o, y.reshape(o.shape).double() if not y.is_floating_point() else y, **{
        k: torch.tensor(v) if isinstance(v, list) else v for k, v in options.items()})


def margins(o, y, **options):
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    return F.multi_margin_loss(o, y, **options)


def hinge(o, y, margin=1.0, reduction="mean"):
    if o.shape[1] == 1:
        each = (margin - (2 * y[:, None] - 1) * o).clamp(min=0)
        return each.sum() if reduction == "sum" else each.mean()
    return CLASSES * F.multi_margin_loss(o, y, margin=margin, reduction=reduction)


def kl(o, y, reduction="batchmean"):
    return F.kl_div(o, y, reduction=reduction)


def log_kl(o, y, log_target=False, reduction="batchmean"):
    if not log_target:
        raise ValueError("values are no shares")
    return F.kl_div(o, y, reduction=reduction, log_target=True)


def held_bce(o, y, eps=0, reduction="mean"):
    return F.binary_cross_entropy(o.clamp(eps, 1 - eps), y, reduction=reduction)


LOSSES = {  # kinds of targets, options, the mean
    "cross_entropy": [
        (targets, ["labels", "tokens", "shares"], {**WEIGHT, "label_smoothing": [0.2, 1], "ignore_index": [2]}, classes_first(F.cross_entropy)),
        (probabilities, ["labels", "shares"], {**WEIGHT, "label_smoothing": [0.2], "ignore_index": [2]}, from_probabilities),
    ],
    "nll": [(targets, ["labels", "tokens"], {**WEIGHT, "ignore_index": [1]}, classes_first(F.nll_loss))],
    "bce_with_logits": [(targets, ["shares"], {"pos_weight": [[0.5, 2, 1.25, 0.1, 3]]}, wide(F.binary_cross_entropy_with_logits)),
        (targets, ["binary"], {"pos_weight": [[3]]}, wide(F.binary_cross_entropy_with_logits))],
    "bce": [(probabilities, ["binary", "shares"], {}, wide(F.binary_cross_entropy)),
        (probabilities, ["binary", "shares"], {"eps": [1e-7, 0.2]}, wide(held_bce))],
    "multi_margin": [(targets, ["labels"], {"p": [2], "margin": [0.3], **WEIGHT}, margins)],
    "hinge": [(targets, ["labels", "binary"], {"margin": [0.3]}, hinge)],
    "hinge_embedding": [(targets, ["binary"], {"margin": [1.7]}, lambda o, y, **options: F.hinge_embedding_loss(o, 2 * y[:, None].double() - 1, **options))],
    "mse": [(targets, ["values"], {}, F.mse_loss)],
    "l1": [(targets, ["values"], {}, F.l1_loss)],
    "huber": [(targets, ["values"], {"delta": [0.6, 3]}, F.huber_loss)],
    "smooth_l1": [(targets, ["values"], {"beta": [0, 0.6, 3]}, F.smooth_l1_loss)],
    "kl_div": [(targets, ["shares"], {}, kl),
        (targets, ["values"], {"log_target": [True]}, log_kl)],
}


def compare_loss(driver, table, name, options, output, target, mean):
    spec = {"type": name, **options}
    o, y = torch.tensor(output, requires_grad=True), torch.tensor(target)
    try:
        given = {k: v for k, v in options.items() if k != "from_probabilities"}
        mean(o, y, **given).backward()
        m = mean(o, y, **{k: v for k, v in given.items() if k != "reduction"})  # of a sum, too, the mean is told
    except (RuntimeError, ValueError):
        return
    if not np.isfinite(m.item()):  # no target counts: 0 / 0, where ours are Keras' zeros
        m = torch.tensor(0.0)
        o.grad = o.grad if options.get("reduction") == "sum" else torch.zeros_like(o)
    theirs = {"": o.grad.numpy()}
    result = {}
    for kind in ("float64", "float32"):
        answer = driver.ask(type=kind, spec={"loss": spec}, input=array(output), target=array(target))
        if "fault" in answer:
            return table.fault(name, f"PyTorch takes {json.dumps(spec)}, we do not: {answer['fault']}")
        result[kind] = (difference({"": numpy_of([answer["mean"]])}, {"": np.array([m.item()])}),
            difference({"": numpy_of(answer["gradient"])}, theirs))
    table.add(name, spec, {"mean": result["float64"][0], "gradient": result["float64"][1], "float32": max(result["float32"])})


def losses(driver, build):
    columns = ["mean", "gradient", "float32"]
    table = Table(f"Losses, against PyTorch {torch.__version__}", schema(build, "loss"), columns, {"mean": WIDE, "gradient": WIDE, "float32": NARROW}, {})
    for name, rows in LOSSES.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        for make, kinds, one_of, mean in rows:
            for kind, options, n in itertools.product(kinds, all_options({**one_of, "reduction": ["sum"]}, random), (4, 1, 7)):
                output, target = make(kind, random, n)
                more = {"from_probabilities": True} if mean is from_probabilities else {}
                target = target if target.dtype.kind == "i" else exact(target)
                compare_loss(driver, table, name, {**options, **more}, exact(output), target, mean)
    return table


# ---- Optimizers ------------------------------------------------------------------------------------------------------

RATE = {"lr": [0.05, 0], "weight_decay": [0.3]}
GROUP = {"groups": [[{"params": "0.*", "lr": 0.02, "weight_decay": 0.4}], [{"params": "*.bias", "lr": 5}, {"params": ["x", "0.w*"], "weight_decay": 0.1}]]}
ADAM = {**RATE, **GROUP, "betas": [[0.7, 0.9], [0.0, 0.5]], "eps": [1e-3], "amsgrad": [True]}
OPTIMIZERS = {  # torch's, values of options, what is always there
    "sgd": (optim.SGD, {**RATE, **GROUP, "momentum": [0.9], "dampening": [0.4], "nesterov": [True, False]}),
    "sgd nesterov": (optim.SGD, {**RATE, **GROUP, "momentum": [0.5]}, {"momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, ADAM),
    "adamw": (optim.AdamW, ADAM),
    "rmsprop": (optim.RMSprop, {**RATE, **GROUP, "alpha": [0.8], "eps": [1e-3], "momentum": [0.7], "centered": [True]}),
    "adagrad": (optim.Adagrad, {**RATE, **GROUP, "lr_decay": [0.2], "initial_accumulator_value": [0.4], "eps": [1e-3]}),
    "adadelta": (optim.Adadelta, {**RATE, **GROUP, "rho": [0.8], "eps": [1e-3]}),
    "muon": (optim.Muon, {**RATE, **GROUP, "momentum": [0.8], "nesterov": [False], "eps": [1e-3], "ns_steps": [1, 3], "adjust_lr_fn": ["match_rms_adamw", "original"]}),
    "muon adamw": (optim.AdamW, {"lr": [0.05], "weight_decay": [0.3], "adamw_betas": [[0.7, 0.9]], "adamw_eps": [1e-3], "groups": []}),
}
FACTORS = [1, 1, 0.5, 0.5, 1.5, 0.25, 1, 0, 0.1, 1]  # as a schedule has it


def group_of(options):
    """Of "0.weight": the first that matches."""
    for group in options.get("groups", []):
        if group["params"] in ("0.*", "*") or "0.w*" in group["params"]:
            return {k: v for k, v in group.items() if k in ("lr", "weight_decay")}
    return {}


MOMENTA = [0.95, 0.9, 0.5, 0.85, 0.25, 0.7, 0.1, 0.6, 0.8, 0.95]  # as a cycle has them; at 0 torch's SGD forgets its buffer


def move_momentum(group, momentum):
    """As OneCycleLR does."""
    if "betas" in group:
        group["betas"] = (momentum, group["betas"][1])
    else:
        group["momentum"] = momentum


def compare_optimizer(driver, table, name, make, options, shape, random, moves=False):
    spec = {"type": name.split()[0], **options}
    if name == "muon adamw":
        spec["groups"] = [{"params": "*", "adamw": True}]
    start, gradients = exact(random.normal(size=shape)), exact(random.normal(size=(len(FACTORS), *shape)) * 10.0 ** random.integers(-2, 2))
    gradients[:, 0] *= random.integers(0, 2)  # a row that has none
    p = torch.tensor(start, requires_grad=True)
    theirs = {k.removeprefix("adamw_"): v for k, v in options.items() if k != "groups"} | group_of(options)
    try:
        optimizer = make([p], **theirs)
    except ValueError as e:
        if "fault" not in driver.ask(spec={"optimizer": spec}, weight=array(start), gradients=[], factors=[]):
            table.fault(name, f"PyTorch refuses {json.dumps(spec)}: {e}; we do not")
        return
    if name == "muon adamw":
        optimizer.param_groups[0].setdefault("weight_decay", 0.1)
        if "weight_decay" not in theirs:
            optimizer.param_groups[0]["weight_decay"] = 0.1  # Muon's own default stands for its groups
    lr, after = optimizer.param_groups[0]["lr"], []
    for factor, momentum, gradient in zip(FACTORS, MOMENTA, gradients):
        optimizer.param_groups[0]["lr"] = lr * factor
        if moves:
            move_momentum(optimizer.param_groups[0], momentum)
        p.grad = torch.tensor(gradient)
        optimizer.step()
        after.append(p.detach().numpy().ravel().copy())
    result = {}
    for kind in ("float64", "float32"):
        answer = driver.ask(type=kind, spec={"optimizer": spec}, weight=array(start), gradients=[g.ravel().tolist() for g in gradients], factors=FACTORS,
            momenta=MOMENTA if moves else [])
        if "fault" in answer:
            return table.fault(name, f"PyTorch takes {json.dumps(spec)}, we do not: {answer['fault']}")
        result[kind] = max(difference({"": numpy_of(a)}, {"": b}) for a, b in zip(answer["after"], after))
    table.add(name.split()[0], spec, {"ten updates": result["float64"], "float32": result["float32"]})


def optimizers(driver, build):
    silent = {"*.form": "compared with Keras, whose it is"}
    table = Table(f"Optimizers, against PyTorch {torch.__version__}", schema(build, "optimizer"), ["ten updates", "float32"], {"ten updates": WIDE, "float32": NARROW}, silent)
    for name, (make, one_of, *base) in OPTIMIZERS.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        one_of = {k: v for k, v in one_of.items() if v}
        for options, shape in itertools.product(all_options(one_of, random, 16), [(3, 5), (7, 2), (1, 1)] if name == "muon" else [(3, 5), (4,), (2, 3, 2, 2)]):
            compare_optimizer(driver, table, name, make, dict(*base, **options), shape, random)
            if name in ("adam", "adamw") or name == "sgd" and options.get("momentum"):
                compare_optimizer(driver, table, name, make, dict(*base, **options), shape, random, moves=True)
    return table


# ---- Schedules -------------------------------------------------------------------------------------------------------

SCHEDULES = {  # what is always there, values of options, the scheduler of OPTIMIZER for a training of TOTAL
    "constant": ({"total_iters": 3}, {"factor": [0.25], "total_iters": [1, 7]}, lambda o, total, factor=1, total_iters=0: S.ConstantLR(o, factor, total_iters)),
    "step": ({"step_size": 3}, {"step_size": [1, 7], "gamma": [0.5, 1.5]}, lambda o, total, step_size, gamma=0.1: S.StepLR(o, step_size, gamma)),
    "multi_step": ({"milestones": [2, 5]}, {"milestones": [[1], [7, 7, 9], [100]], "gamma": [0.5]},
        lambda o, total, milestones, gamma=0.1: S.MultiStepLR(o, milestones, gamma)),
    "piecewise": ({"boundaries": [3, 20], "factors": [1, 0.5, 0.2]}, {},  # Keras' PiecewiseConstantDecay, whose formula this is
        lambda o, total, boundaries, factors: S.LambdaLR(o, lambda t: factors[sum(b < t for b in boundaries)])),
    "exponential": ({"gamma": 0.9}, {"gamma": [0.5, 1.1]}, lambda o, total, gamma: S.ExponentialLR(o, gamma)),
    "polynomial": ({}, {"total_iters": [4, 30], "power": [0.5, 2.5]}, lambda o, total, total_iters=0, power=1: S.PolynomialLR(o, total_iters or total, power)),
    "cosine": ({}, {"t_max": [4, 30], "min_factor": [0.1]}, lambda o, total, t_max=0, min_factor=0: S.CosineAnnealingLR(o, t_max or total, min_factor)),
    "linear": ({}, {"start_factor": [0.8, 0.1], "end_factor": [0.2, 1], "total_iters": [3, 30]},
        lambda o, total, start_factor=1, end_factor=0, total_iters=0: S.LinearLR(o, start_factor, end_factor, total_iters or total)),
    "one_cycle": ({}, {"pct_start": [0.25, 0.5], "anneal_strategy": ["linear", "cos"], "div_factor": [10], "final_div_factor": [100], "three_phase": [True], "total_steps": [60],
        "cycle_momentum": [True], "base_momentum": [0.5], "max_momentum": [0.9]},
        lambda o, total, total_steps=0, cycle_momentum=False, **options: S.OneCycleLR(o, 1, total_steps or total, cycle_momentum=cycle_momentum, **options)),
    "plateau": ({}, {"factor": [0.5], "patience": [0, 2], "threshold": [0.1], "min_factor": [0.2]},
        lambda o, total, factor=0.1, patience=10, threshold=1e-4, min_factor=0: S.ReduceLROnPlateau(o, factor=factor, patience=patience, threshold=threshold, min_lr=min_factor, eps=0)),
}
AFTER_WARMUP = {"cosine", "linear", "polynomial"}  # these begin where the warm-up ends
N_STEPS, N_EPOCH = 53, 4


def rates(make, n, every, values=(), what="lr"):
    """The learning rates, or WHAT, of N steps; the scheduler goes on after EVERY of them."""
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=1, momentum=0.5)
    scheduler, out = make(optimizer), []
    for step in range(n):
        out.append(optimizer.param_groups[0][what])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < n:
            scheduler.step(*([values[(step + 1) // every - 1]] if len(values) else []))
    return np.array(out, dtype=float)


def compare_schedule(driver, table, name, base, options, warmup, unit, make, random):
    spec = {"type": name, **base, **options, **({} if name == "plateau" else {"unit": unit})}
    if warmup:
        spec |= {"warmup_steps": warmup, "warmup_factor": 0.2}
    every = 1 if unit == "step" else N_EPOCH
    values = random.normal(size=N_STEPS // N_EPOCH) if name == "plateau" else []
    before = warmup if name in AFTER_WARMUP else 0
    total = -(-(N_STEPS - before) // every)
    theirs = rates(lambda o: make(o, total, **{**base, **options}), N_STEPS - before, every, values)
    theirs = np.concatenate([np.full(before, theirs[0]), theirs])
    if warmup:
        theirs *= rates(lambda o: S.LinearLR(o, 0.2, 1, warmup), N_STEPS, 1)
    answer = driver.ask(spec={"schedule": spec}, steps=N_STEPS, epoch=N_EPOCH, values=list(values))
    if "fault" in answer:
        return table.fault(name, f"PyTorch takes {json.dumps(spec)}, we do not: {answer['fault']}")
    if options.get("cycle_momentum"):
        momenta = rates(lambda o: make(o, total, **{**base, **options}), N_STEPS, every, what="momentum")
        table.add(name, spec, {"momenta": difference({"": numpy_of(answer["momenta"])}, {"": momenta})})
    elif max(answer["momenta"]) >= 0:
        table.fault(name, f"{json.dumps(spec)} moves a momentum")
    table.add(name, spec, {"rates": difference({"": numpy_of(answer["factors"])}, {"": theirs}),
        "first": difference({"": numpy_of(answer["factors"][:1])}, {"": theirs[:1]}),
        "last": difference({"": numpy_of(answer["factors"][-1:])}, {"": theirs[-1:]})})


def schedules(driver, build):
    columns = ["rates", "first", "last", "momenta"]
    silent = {"plateau.metric": "the name of a series; test_trainer.c follows one"}
    table = Table(f"Schedules, against PyTorch {torch.__version__}", schema(build, "schedule"), columns, {c: WIDE for c in columns}, silent)
    for name, (base, one_of, make) in SCHEDULES.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        units = ["epoch"] if name == "plateau" else ["epoch", "step"]
        for options, warmup, unit in itertools.product(all_options(one_of, random), [0, 5], units):
            compare_schedule(driver, table, name, base, options, warmup, unit, make, random)
    return table


compare_all(losses, optimizers, schedules)
