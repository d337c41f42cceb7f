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
PROBABILITIES = [[0.25, 0.125, 0.625], [0.5, 0.375, 0.125], [0.0625, 0.3125, 0.625], [0.75, 0.125, 0.125]]
CHANCES = [[0.25], [0.75], [0.5], [0.875]]
WEIGHT = torch.tensor([0.5, 2.0, 1.25])

cross = nn.functional.cross_entropy
bce = nn.functional.binary_cross_entropy_with_logits


def tokens(output, y, **options):  # [2, 2, 3]: classes last, so that torch wants them moved
    return cross(output.reshape(2, 2, 3).movedim(2, 1), y, **options)


TOKENS = [[0, 2], [-100, 1]]
F = nn.functional


def keras_cross(output, y, **options):  # from probabilities
    p = (output / output.sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    if y.dtype == torch.int64 and "label_smoothing" not in options:
        return F.nll_loss(p.log(), y, **options)
    shares = F.one_hot(y, 3).double() if y.dtype == torch.int64 else y
    smoothing = options.get("label_smoothing", 0)
    return -((shares * (1 - smoothing) + smoothing / 3) * p.log()).sum(1).mean()


def margins(output, y, margin=1.0, p=1, weight=None, divide=True):  # F.multi_margin_loss has no second derivative
    own = output.gather(1, y[:, None])
    over = (margin - own + output).clamp(min=0) ** p * (1 - F.one_hot(y, output.shape[1]))
    each = over.sum(1) / (output.shape[1] if divide else 1)
    mean = (each * (weight[y] if weight is not None else 1)).mean()
    if divide:
        assert torch.allclose(mean, F.multi_margin_loss(output, y, p=p, margin=margin, weight=weight))
    return mean


def chances(output, y):  # the second derivative of F.binary_cross_entropy is 1e-11 off
    mean = -(y * output.log() + (1 - y) * (1 - output).log()).mean()
    assert torch.allclose(mean, F.binary_cross_entropy(output, y))
    return mean


def signs():
    return torch.tensor(BINARY)[:, None].double() * 2 - 1

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
    ('{"type":"cross_entropy","ignore_index":2}', "LABELS", lambda o: cross(o, torch.tensor(LABELS), ignore_index=2)),
    ('{"type":"cross_entropy","weight":[0.5,2,1.25],"label_smoothing":0.2,"ignore_index":2}', "LABELS",
        lambda o: cross(o, torch.tensor(LABELS), weight=WEIGHT, label_smoothing=0.2, ignore_index=2)),
    ('{"type":"cross_entropy","from_probabilities":true}', "P_LABELS", lambda o: keras_cross(o, torch.tensor(LABELS))),
    ('{"type":"cross_entropy","from_probabilities":true,"label_smoothing":0.2}', "P_LABELS",
        lambda o: keras_cross(o, torch.tensor(LABELS), label_smoothing=0.2)),
    ('{"type":"cross_entropy","from_probabilities":true}', "P_SHARES", lambda o: keras_cross(o, torch.tensor(SHARES))),
    ('"nll"', "LABELS", lambda o: F.nll_loss(o, torch.tensor(LABELS))),
    ('{"type":"nll","weight":[0.5,2,1.25],"ignore_index":1}', "LABELS",
        lambda o: F.nll_loss(o, torch.tensor(LABELS), weight=WEIGHT, ignore_index=1)),
    ('"nll"', "TOKENS", lambda o: F.nll_loss(o.reshape(2, 2, 3).movedim(2, 1), torch.tensor(TOKENS))),
    ('"multi_margin"', "LABELS", lambda o: margins(o, torch.tensor(LABELS))),
    ('{"type":"multi_margin","p":2,"margin":0.7,"weight":[0.5,2,1.25]}', "LABELS",
        lambda o: margins(o, torch.tensor(LABELS), margin=0.7, p=2, weight=WEIGHT)),
    ('"hinge"', "LABELS", lambda o: margins(o, torch.tensor(LABELS), divide=False)),
    ('"hinge"', "BINARY", lambda o: (1 - signs() * o).clamp(min=0).mean()),
    ('{"type":"hinge_embedding","margin":1.75}', "BINARY", lambda o: F.hinge_embedding_loss(o, signs(), margin=1.75)),
    ('"bce"', "P_BINARY", lambda o: chances(o, torch.tensor(BINARY)[:, None].double())),
    ('"bce"', "P_SHARES", lambda o: chances(o, torch.tensor(SHARES))),
    ('"kl_div"', "SHARES", lambda o: F.kl_div(o, torch.tensor(SHARES), reduction="batchmean")),
    ('{"type":"kl_div","log_target":true}', "VALUES",
        lambda o: F.kl_div(o, torch.tensor(VALUES), reduction="batchmean", log_target=True)),
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
    ('"adam"', lambda p: torch.optim.Adam(p)),
    ('{"type":"adam","lr":0.03,"amsgrad":true,"weight_decay":0.2}',
        lambda p: torch.optim.Adam(p, lr=0.03, amsgrad=True, weight_decay=0.2)),
    ('{"type":"adamw","lr":0.03,"amsgrad":true}', lambda p: torch.optim.AdamW(p, lr=0.03, amsgrad=True)),
    ('"adagrad"', lambda p: torch.optim.Adagrad(p)),
    ('{"type":"adagrad","lr":0.1,"lr_decay":0.2,"weight_decay":0.3,"initial_accumulator_value":0.4,"eps":0.001}',
        lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.2, weight_decay=0.3, initial_accumulator_value=0.4, eps=0.001)),
    ('"adadelta"', lambda p: torch.optim.Adadelta(p)),
    ('{"type":"adadelta","lr":0.5,"rho":0.8,"eps":0.001,"weight_decay":0.2}',
        lambda p: torch.optim.Adadelta(p, lr=0.5, rho=0.8, eps=0.001, weight_decay=0.2)),
    ('"muon"', lambda p: torch.optim.Muon(p)),
    ('{"type":"muon","lr":0.05,"momentum":0.8,"nesterov":false,"weight_decay":0.3,"ns_steps":3}',
        lambda p: torch.optim.Muon(p, lr=0.05, momentum=0.8, nesterov=False, weight_decay=0.3, ns_steps=3)),
    ('{"type":"muon","lr":0.05,"adjust_lr_fn":"match_rms_adamw"}',
        lambda p: torch.optim.Muon(p, lr=0.05, adjust_lr_fn="match_rms_adamw")),
    ('{"type":"muon","lr":0.03,"weight_decay":0.2,"adamw_betas":[0.7,0.9],"groups":[{"params":"*","adamw":true}]}',
        lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.2, betas=(0.7, 0.9))),
]
torch.Tensor.bfloat16 = lambda self: self.clone()  # Muon iterates in bfloat16; here it keeps the parameter's type
START = [0.5, -0.25, 1.0, 2.0, -1.5, 0.125]
N_UPDATES = 10


def gradient(step):
    return torch.tensor([0.1 * step, -1.0 / step, 0.5, 0.3 - 0.2 * step, 1.5 - 0.25 * step, -0.75])


SCHEDULES = [  # epochs of 5 steps, 10 epochs
    ('{"type":"step","step_size":2}', lambda o: torch.optim.lr_scheduler.StepLR(o, 2), 5),
    ('{"type":"step","step_size":5,"gamma":0.5,"unit":"step"}', lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.5), 1),
    ('{"type":"multi_step","milestones":[1,4],"gamma":0.3}', lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 4], 0.3), 5),
    ('{"type":"piecewise","boundaries":[7,8,30],"factors":[1,0.5,2,0]}',  # Keras' PiecewiseConstantDecay
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: [1, 0.5, 2, 0][sum(b < t for b in (7, 8, 30))]), 1),
    ('{"type":"piecewise","boundaries":[0,3],"factors":[0.25,1,0.1],"unit":"epoch"}',
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: [0.25, 1, 0.1][sum(b < t for b in (0, 3))]), 5),
    ('{"type":"exponential","gamma":0.9}', lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9), 5),
    ('{"type":"cosine"}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10), 5),
    ('{"type":"cosine","t_max":4,"min_factor":0.1}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4, 0.1), 5),
    ('{"type":"cosine","unit":"step"}', lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50), 1),
    ('{"type":"linear","start_factor":0.8,"end_factor":0.2,"total_iters":3}',
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.8, 0.2, 3), 5),
    ('{"type":"linear","unit":"step"}', lambda o: torch.optim.lr_scheduler.LinearLR(o, 1, 0, 50), 1),
    ('{"type":"constant","warmup_steps":5,"warmup_factor":0.2}', lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.2, 1, 5), 1),
    ('{"type":"cosine","unit":"step","warmup_steps":6,"warmup_factor":0.25}', lambda o: torch.optim.lr_scheduler.SequentialLR(o, [
        torch.optim.lr_scheduler.LinearLR(o, 0.25, 1, 6), torch.optim.lr_scheduler.CosineAnnealingLR(o, 44)], [6]), 1),
    ('{"type":"constant","factor":0.25,"total_iters":3}', lambda o: torch.optim.lr_scheduler.ConstantLR(o, 0.25, 3), 5),
    ('{"type":"multi_step","milestones":[7,7,30],"unit":"step"}', lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [7, 7, 30]), 1),
    ('{"type":"exponential","gamma":0.95,"unit":"step"}', lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.95), 1),
    ('"polynomial"', lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 10), 5),
    ('{"type":"polynomial","total_iters":30,"power":2.5,"unit":"step"}', lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 30, 2.5), 1),
    ('"one_cycle"', lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 50, cycle_momentum=False), 1),
    ('{"type":"one_cycle","anneal_strategy":"linear","pct_start":0.25,"div_factor":10,"final_div_factor":100,"three_phase":true}',
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 50, anneal_strategy="linear", pct_start=0.25, div_factor=10,
            final_div_factor=100, three_phase=True, cycle_momentum=False), 1),
    ('{"type":"one_cycle","unit":"epoch","pct_start":0.4}',
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 10, pct_start=0.4, cycle_momentum=False), 5),
]

PLATEAU = [1.0, 0.9, 0.90001, 0.95, 0.91, 0.8, 0.8, float("nan"), 0.85, 0.79999, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]


def quoted(text):
    return json.dumps(text)


def row(values):
    return "{ " + ", ".join(f"{float(v):.17g}" for v in values) + " }"


def table(name, columns, rows):
    print(f"/* {columns} */\n#define {name} \\\n\t" + ", \\\n\t".join(rows) + "\n")


def second_gradient(loss, output):
    """Of the sum of squares of the gradient: what a gradient penalty needs."""
    g, = torch.autograd.grad(loss(output), output, create_graph=True)
    if not g.requires_grad:
        return torch.zeros_like(output)
    second, = torch.autograd.grad((g * g).sum(), output, allow_unused=True)
    return torch.zeros_like(output) if second is None else second


def losses():
    outputs = {"BINARY": SINGLE, "P_BINARY": CHANCES, "P_LABELS": PROBABILITIES, "P_SHARES": PROBABILITIES}
    for spec, target, loss in LOSSES:
        output = torch.tensor(outputs.get(target, OUTPUT), requires_grad=True)
        mean = loss(output)
        mean.backward()
        yield (f"{{ {quoted(spec)}, {target}, {mean.item():.17g}, {row(output.grad.flatten())}, "
               f"{row(second_gradient(loss, output).flatten())} }}")


def optimizers():
    for columns in (2, 3):
        for spec, make in OPTIMIZERS:
            p = torch.tensor(START).reshape(-1, columns).requires_grad_()
            optimizer = make([p])
            for step in range(1, N_UPDATES + 1):
                p.grad = gradient(step).reshape(-1, columns)
                optimizer.step()
            yield f"{{ {quoted(spec)}, {columns}, {row(p.detach().flatten())} }}"


def schedules():
    for spec, make, every in SCHEDULES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
        schedule = make(optimizer)
        factors = []
        for step in range(50):
            factors.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if (step + 1) % every == 0:
                schedule.step()
        yield f"{{ {quoted(spec)}, {row(factors)} }}"


MOMENTA = [  # as SCHEDULES
    ('{"type":"one_cycle","cycle_momentum":true}', lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 50), 1),
    ('{"type":"one_cycle","cycle_momentum":true,"base_momentum":0.5,"max_momentum":0.9,"anneal_strategy":"linear","three_phase":true,"pct_start":0.4}',
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 50, base_momentum=0.5, max_momentum=0.9, anneal_strategy="linear",
            three_phase=True, pct_start=0.4), 1),
    ('{"type":"one_cycle","cycle_momentum":true,"unit":"epoch"}', lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, 10), 5),
]


def momenta():
    for spec, make, every in MOMENTA:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1, momentum=0.9)
        schedule = make(optimizer)
        values = []
        for step in range(50):
            values.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if (step + 1) % every == 0 and step + 1 < 50:
                schedule.step()
        yield f"{{ {quoted(spec)}, {row(values)} }}"


def plateau():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.1)
    for value in PLATEAU:
        schedule.step(value)
        yield f"{{ {'NAN' if value != value else value}, {optimizer.param_groups[0]['lr']:.9g} }}"


print("/* Made by tests/parity/golden.py, which says from what; do not edit. */")
print("/* clang-format off */")
table("GOLDEN_LOSSES", "spec, target, mean, gradient of the output, gradient of the sum of its squares", losses())
table("GOLDEN_OPTIMIZERS", f"spec, columns, the parameter after {N_UPDATES} updates", optimizers())
table("GOLDEN_SCHEDULES", "spec, factors of 50 steps, 5 to an epoch", schedules())
table("GOLDEN_MOMENTA", "spec, the momentum of 50 steps, 5 to an epoch", momenta())
table("GOLDEN_PLATEAU", "value, factor after it: factor 0.5, patience 1, min_factor 0.1", plateau())
