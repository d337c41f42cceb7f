"""Prints tests/unit/learn_golden.h: losses, optimizers and schedules as PyTorch computes them in float64.

    .parity/bin/python tests/parity/golden.py > tests/unit/learn_golden.h
"""
import json

import torch
from torch import nn

torch.set_default_dtype(torch.float64)

OUTPUT = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 1.0, 1.0], [0.125, 3.0, -1.0]]
LABELS = [0, 2, 1, 2]
SHARES = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.25, 0.75], [0.1, 0.8, 0.1]]
VALUES = [[0.75, -1.0, -3.0], [1.0, 2.5, -0.5], [-2.25, 1.5, 5.0], [0.0, 3.0, 1.0]]
BINARY = [0, 1, 1, 0]
SINGLE = [[0.5], [-1.5], [2.0], [30.0]]
WEIGHT = torch.tensor([0.5, 2.0, 1.25])

cross = nn.functional.cross_entropy
bce = nn.functional.binary_cross_entropy_with_logits


def tokens(output, y, **options):  # [2, 2, 3]: classes last, so that torch wants them moved
    return cross(output.reshape(2, 2, 3).movedim(2, 1), y, **options)


TOKENS = [[0, 2], [-100, 1]]

LOSSES = [
    ('"cross_entropy"', "LABELS", lambda o: cross(o, torch.tensor(LABELS))),
    ('{"type":"cross_entropy","weight":[0.5,2,1.25]}', "LABELS", lambda o: cross(o, torch.tensor(LABELS), weight=WEIGHT)),
    ('{"type":"cross_entropy","label_smoothing":0.2}', "LABELS", lambda o: cross(o, torch.tensor(LABELS), label_smoothing=0.2)),
    ('{"type":"cross_entropy","weight":[0.5,2,1.25],"label_smoothing":0.2}', "LABELS",
        lambda o: cross(o, torch.tensor(LABELS), weight=WEIGHT, label_smoothing=0.2)),
    ('"cross_entropy"', "TOKENS", lambda o: tokens(o, torch.tensor(TOKENS))),
    ('{"type":"cross_entropy","weight":[0.5,2,1.25],"label_smoothing":0.2}', "TOKENS",
        lambda o: tokens(o, torch.tensor(TOKENS), weight=WEIGHT, label_smoothing=0.2)),
    ('"cross_entropy"', "SHARES", lambda o: cross(o, torch.tensor(SHARES))),
    ('{"type":"cross_entropy","weight":[0.5,2,1.25],"label_smoothing":0.2}', "SHARES",
        lambda o: cross(o, torch.tensor(SHARES), weight=WEIGHT, label_smoothing=0.2)),
    ('"bce_with_logits"', "SHARES", lambda o: bce(o, torch.tensor(SHARES))),
    ('{"type":"bce_with_logits","pos_weight":[0.5,2,1.25]}', "SHARES", lambda o: bce(o, torch.tensor(SHARES), pos_weight=WEIGHT)),
    ('"bce_with_logits"', "BINARY", lambda o: bce(o, torch.tensor(BINARY)[:, None].double())),
    ('{"type":"bce_with_logits","pos_weight":[3]}', "BINARY",
        lambda o: bce(o, torch.tensor(BINARY)[:, None].double(), pos_weight=torch.tensor([3.0]))),
    ('"mse"', "VALUES", lambda o: nn.functional.mse_loss(o, torch.tensor(VALUES))),
    ('"l1"', "VALUES", lambda o: nn.functional.l1_loss(o, torch.tensor(VALUES))),
    ('{"type":"huber","delta":0.6}', "VALUES", lambda o: nn.functional.huber_loss(o, torch.tensor(VALUES), delta=0.6)),
    ('{"type":"smooth_l1","beta":0.6}', "VALUES", lambda o: nn.functional.smooth_l1_loss(o, torch.tensor(VALUES), beta=0.6)),
    ('{"type":"smooth_l1","beta":0}', "VALUES", lambda o: nn.functional.smooth_l1_loss(o, torch.tensor(VALUES), beta=0)),
]

OPTIMIZERS = [
    ('{"type":"sgd","lr":0.5}', lambda p: torch.optim.SGD(p, lr=0.5)),
    ('{"type":"sgd","lr":0.1,"momentum":0.9,"dampening":0.4,"weight_decay":0.3}',
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.4, weight_decay=0.3)),
    ('{"type":"sgd","lr":0.1,"momentum":0.8,"nesterov":true}', lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    ('{"type":"adam","lr":0.03,"betas":[0.7,0.9],"eps":0.001,"weight_decay":0.2}',
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.7, 0.9), eps=0.001, weight_decay=0.2)),
    ('{"type":"adamw","lr":0.03}', lambda p: torch.optim.AdamW(p, lr=0.03)),
    ('{"type":"adamw","lr":0.03,"weight_decay":0.5}', lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.5)),
    ('{"type":"rmsprop"}', lambda p: torch.optim.RMSprop(p)),
    ('{"type":"rmsprop","lr":0.02,"alpha":0.8,"eps":0.001,"weight_decay":0.2,"momentum":0.7}',
        lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.8, eps=0.001, weight_decay=0.2, momentum=0.7)),
    ('{"type":"rmsprop","lr":0.02,"centered":true}', lambda p: torch.optim.RMSprop(p, lr=0.02, centered=True)),
    ('{"type":"rmsprop","lr":0.02,"momentum":0.5,"centered":true}',
        lambda p: torch.optim.RMSprop(p, lr=0.02, momentum=0.5, centered=True)),
]
START = [0.5, -0.25, 1.0, 2.0]
N_UPDATES = 5


def gradient(step):
    return torch.tensor([0.1 * step, -1.0 / step, 0.5, 0.3 - 0.2 * step])


SCHEDULES = [  # epochs of 4 steps, 6 epochs
    ('{"type":"step","step_size":2}', lambda o: torch.optim.lr_scheduler.StepLR(o, 2), 4),
    ('{"type":"step","step_size":5,"gamma":0.5,"unit":"step"}', lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.5), 1),
    ('{"type":"multi_step","milestones":[1,4],"gamma":0.3}', lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 4], 0.3), 4),
    ('{"type":"exponential","gamma":0.9}', lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9), 4),
    ('{"type":"cosine"}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6), 4),
    ('{"type":"cosine","t_max":4,"min_factor":0.1}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4, 0.1), 4),
    ('{"type":"cosine","unit":"step"}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 24), 1),
    ('{"type":"linear","start_factor":0.8,"end_factor":0.2,"total_iters":3}',
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.8, 0.2, 3), 4),
    ('{"type":"linear","unit":"step"}', lambda o: torch.optim.lr_scheduler.LinearLR(o, 1, 0, 24), 1),
    ('{"type":"constant","warmup_steps":5,"warmup_factor":0.2}', lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.2, 1, 5), 1),
    ('{"type":"cosine","unit":"step","warmup_steps":6,"warmup_factor":0.25}', lambda o: torch.optim.lr_scheduler.SequentialLR(o, [
        torch.optim.lr_scheduler.LinearLR(o, 0.25, 1, 6), torch.optim.lr_scheduler.CosineAnnealingLR(o, 18)], [6]), 1),
]

PLATEAU = [1.0, 0.9, 0.90001, 0.95, 0.91, 0.8, 0.8, float("nan"), 0.85, 0.79999, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]


def quoted(text):
    return json.dumps(text)


def row(values):
    return "{ " + ", ".join(f"{float(v):.9g}" for v in values) + " }"


def table(name, columns, rows):
    print(f"/* {columns} */\n#define {name} \\\n\t" + ", \\\n\t".join(rows) + "\n")


def losses():
    for spec, target, loss in LOSSES:
        output = torch.tensor(SINGLE if target == "BINARY" else OUTPUT, requires_grad=True)
        mean = loss(output)
        mean.backward()
        yield f"{{ {quoted(spec)}, {target}, {mean.item():.9g}, {row(output.grad.flatten())} }}"


def optimizers():
    for spec, make in OPTIMIZERS:
        p = torch.tensor(START, requires_grad=True)
        optimizer = make([p])
        for step in range(1, N_UPDATES + 1):
            p.grad = gradient(step)
            optimizer.step()
        yield f"{{ {quoted(spec)}, {row(p.detach())} }}"


def schedules():
    for spec, make, every in SCHEDULES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
        schedule = make(optimizer)
        factors = []
        for step in range(24):
            factors.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if (step + 1) % every == 0:
                schedule.step()
        yield f"{{ {quoted(spec)}, {row(factors)} }}"


def plateau():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.1)
    for value in PLATEAU:
        schedule.step(value)
        yield f"{{ {'NAN' if value != value else value}, {optimizer.param_groups[0]['lr']:.9g} }}"


print("/* Made by tests/parity/golden.py, which says from what; do not edit. */")
print("/* clang-format off */")
table("GOLDEN_LOSSES", "spec, target, mean, gradient of the output", losses())
table("GOLDEN_OPTIMIZERS", f"spec, the parameter after {N_UPDATES} updates", optimizers())
table("GOLDEN_SCHEDULES", "spec, factors of 24 steps, 4 to an epoch", schedules())
table("GOLDEN_PLATEAU", "value, factor after it: factor 0.5, patience 1, min_factor 0.1", plateau())
