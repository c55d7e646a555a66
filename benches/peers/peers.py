"""PyTorch and onnxruntime: `peers.py torch` and `peers.py onnxruntime`.

Reads the cases and Even Keel's answers from the file that ANSWERS names, compares, measures, and
prints a JSON line per case, as the Rust peers do (src/lib.rs says what each kind of work is).
"""

import csv
import itertools
import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np

EPS, GROUPS, LR, BATCH = 1e-5, 32, 1e-3, 64
WIDTHS = [64, 64, 64, 64, 64, 10]
THREADS = int(os.environ.get("THREADS") or 1)
FILTER = os.environ.get("BENCH_FILTER") or ""
DIGITS_CSV = pathlib.Path(__file__).parents[2] / "src/datasets/digits.csv"


def main(peer):
    answers = json.loads(pathlib.Path(os.environ["ANSWERS"]).read_text())
    weights = {}
    for check in answers["checks"]:
        case = check["case"]
        inputs = [np.array(values) for values in check["inputs"]]
        if case["work"] == "digits":
            weights[case["layer"]] = inputs
        for variant, run, read in jobs(peer, case, inputs):
            run(), run()
            compare(variant, check, read(run()))
    for case in answers["cases"]:
        wanted = any(part in name(case) for part in FILTER.split("|"))
        if not wanted or (case["work"] == "digits" and THREADS > 1):
            continue
        inputs = weights[case["layer"]] if case["work"] == "digits" else made_up(case)
        for variant, run, read in jobs(peer, case, inputs):
            record = {"peer": variant, "case": case, "threads": THREADS}
            print(json.dumps(record | measure(case, run, read)), flush=True)


def jobs(peer, case, inputs):
    """Any number of (variant, the call to be timed, from its result to lists of numbers)."""
    if peer == "onnxruntime":
        return onnxruntime_jobs(case, inputs)
    return torch_jobs(case, inputs)


def name(case):
    """The case in words, for BENCH_FILTER: as src/lib.rs writes it."""
    shape = "x".join(map(str, case["shape"]))
    words = {"adam": ["Adam", shape], "digits": ["digits", case["layer"]]}
    words = words.get(case["work"], [case["layer"], shape, case["work"]])
    return " ".join([*words, case["dtype"]])


def made_up(case):
    """Inputs like those of src/lib.rs, of the same distribution."""
    rng = np.random.default_rng(0)
    n = int(np.prod(case["shape"]))
    if case["work"] == "adam":
        return [rng.standard_normal(n) for _ in range(3)]
    c = case["shape"][1]
    inputs = [rng.standard_normal(size) for size in (n, n, c, c, c)]
    return [*inputs, 0.5 + rng.standard_normal(c) ** 2]


def compare(peer, check, outputs):
    where = f"{peer}, {name(check['case'])}"
    sizes, expected = [len(o) for o in outputs], [len(o) for o in check["outputs"]]
    if sizes != expected:
        sys.exit(f"{where}: outputs of lengths {sizes}, ours {expected}")
    for which, (got, ours) in enumerate(zip(outputs, check["outputs"])):
        if not np.allclose(got, ours, rtol=check["tolerance"], atol=check["tolerance"]):
            worst = np.nanmax(np.abs(np.subtract(got, ours)))
            sys.exit(f"{where}: output {which} differs from ours by up to {worst}")


def measure(case, run, read):
    record = score(read(run())[0]) if case["work"] == "digits" else {}
    units = case["shape"][0] if case["work"] == "digits" else 1
    clock, cpu_clock = time.perf_counter_ns, time.process_time_ns

    start, calls = clock(), 0
    while calls < 2 or clock() - start < 30e6:
        run()
        calls += 1
    times = int(min(max(1e6 // max((clock() - start) // calls, 1), 1), 100_000))

    wall, cpu, start = [], [], clock()
    while len(wall) < 5 or (clock() - start < 120e6 and len(wall) < 400):
        by_cpu, by_wall = cpu_clock(), clock()
        for _ in range(times):
            run()
        wall.append(clock() - by_wall)
        cpu.append(cpu_clock() - by_cpu)
    units *= times
    return record | {"wall": min(wall) / units, "cpu": statistics.median(cpu) / units}


def digits():
    with DIGITS_CSV.open() as file:
        rows = [list(map(int, row)) for row in itertools.islice(csv.reader(file), 1, None)]
    rows = np.array(rows)
    return (rows[:, :-1] / 16).astype(np.float32), rows[:, -1]


def score(logits):
    """Mean cross-entropy and accuracy of the logits of all digits."""
    _, targets = digits()
    logits = np.reshape(logits, (-1, 10))
    of_target = logits[np.arange(len(targets)), targets]
    loss = float(np.mean(np.log(np.exp(logits).sum(1)) - of_target))
    return {"loss": loss, "accuracy": float(np.mean(logits.argmax(1) == targets))}


def torch_jobs(case, inputs):
    import torch

    torch.set_num_threads(THREADS)
    dtype = {"f32": torch.float32, "f64": torch.float64}[case["dtype"]]
    inputs = [torch.tensor(values, dtype=dtype) for values in inputs]
    if case["work"] in ("adam", "digits"):
        steps = torch_adam if case["work"] == "adam" else torch_digits
        yield "torch", *steps(case, inputs)
        yield "torch fused", *steps(case, inputs, fused=True)
    else:
        yield "torch", *torch_layer(case, inputs)


def torch_layer(case, inputs):
    import torch
    import torch.nn.functional as F

    x, w, gamma, beta, mean, var = inputs
    x, w = x.reshape(case["shape"]), w.reshape(case["shape"])
    layer, work, features = case["layer"], case["work"], (case["shape"][1],)

    def forward(x, gamma, beta=None):
        match layer:
            case "LayerNorm":
                return F.layer_norm(x, features, gamma, beta, EPS)
            case "RMSNorm":
                return F.rms_norm(x, features, gamma, EPS)
            case "BatchNorm":
                return F.batch_norm(x, mean, var, gamma, beta, work != "eval", 0.1, EPS)
            case "GroupNorm":
                return F.group_norm(x, GROUPS, gamma, beta, EPS)

    def numbers(tensors):
        return [tensor.detach().flatten().tolist() for tensor in tensors]

    leaves = [x, gamma] if layer == "RMSNorm" else [x, gamma, beta]
    if work in ("forward", "eval"):

        def run():
            with torch.no_grad():
                return (forward(*leaves),)

        return run, numbers

    leaves = [leaf.requires_grad_() for leaf in leaves]
    kept = forward(*leaves)

    def train():
        y = forward(*leaves)
        return y, *torch.autograd.grad((y * w).sum(), leaves)

    def given():
        y = forward(*leaves)
        return y, *torch.autograd.grad(y, leaves, w)

    def backward():
        return kept, *torch.autograd.grad(kept, leaves, w, retain_graph=True)

    return {"train": train, "given": given, "backward": backward}[work], numbers


def torch_adam(case, inputs, **options):
    import torch

    p, *gradients = inputs
    p = p.clone().requires_grad_()
    adam = torch.optim.Adam([p], lr=LR, **options)
    turns = itertools.cycle(gradients)

    def run():
        p.grad = next(turns)
        adam.step()

    return run, lambda _: [p.tolist()]


def torch_digits(case, weights, **options):
    import torch
    from torch import nn

    norms = {
        "LayerNorm": lambda width: nn.LayerNorm(width, EPS),
        "RMSNorm": lambda width: nn.RMSNorm(width, EPS),
        "BatchNorm": lambda width: nn.BatchNorm1d(width, EPS),
    }
    pixels, targets = map(torch.tensor, digits())
    whole = len(targets) // BATCH * BATCH
    batches = list(zip(pixels[:whole].split(BATCH), targets[:whole].split(BATCH)))

    def network():
        layers = []
        for (a, b), weight in zip(itertools.pairwise(WIDTHS), weights):
            linear = nn.utils.skip_init(nn.Linear, a, b)
            with torch.no_grad():
                linear.weight.copy_(weight.reshape(b, a))
                linear.bias.zero_()
            norm = [norms[case["layer"]](b)] if case["layer"] in norms else []
            layers += [linear, *norm, nn.ReLU()]
        return nn.Sequential(*layers[: -1 - len(norm)])  # nothing after the last product

    def train():
        model = network()
        adam = torch.optim.Adam(model.parameters(), lr=LR, **options)
        for x, target in itertools.islice(itertools.cycle(batches), case["shape"][0]):
            adam.zero_grad()
            nn.functional.cross_entropy(model(x), target).backward()
            adam.step()
        return model

    return train, lambda model: [model(pixels).flatten().tolist()]


def onnxruntime_jobs(case, inputs):
    """The two layers whose operator it has, forward."""
    operators = {"LayerNorm": ("LayerNormalization", 17), "RMSNorm": ("RMSNormalization", 23)}
    if case["work"] != "forward" or case["dtype"] != "f32" or case["layer"] not in operators:
        return
    import onnxruntime
    from onnx import TensorProto, helper

    operator, version = operators[case["layer"]]
    x, _, gamma, beta, *_ = [values.astype(np.float32) for values in inputs]
    x, y = x.reshape(case["shape"]), np.empty(case["shape"], np.float32)
    parameters = {"gamma": gamma} | ({"beta": beta} if case["layer"] == "LayerNorm" else {})
    node = helper.make_node(operator, ["x", *parameters], ["y"], axis=-1, epsilon=EPS)
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, case["shape"]) for n in "xy"]
    constants = [
        helper.make_tensor(key, TensorProto.FLOAT, values.shape, values)
        for key, values in parameters.items()
    ]
    model = helper.make_model(
        helper.make_graph([node], case["layer"], shapes[:1], shapes[1:], constants),
        opset_imports=[helper.make_opsetid("", version)],
        ir_version=10,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

    def run():
        session.run_with_iobinding(binding)

    yield "onnxruntime", run, lambda _: [y.flatten().tolist()]


if __name__ == "__main__":
    main(sys.argv[1])
