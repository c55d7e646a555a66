"""Reads what `evenkeel::save` wrote, checks it, and writes a file for `evenkeel::load`.

Called by tests/safetensors_in_python.rs: safetensors_in_python.py OURS DOUBLE THEIRS. Ends with 77 where a module is missing. With
PyTorch installed, the network is built there and computes; without it, numpy reads and writes the same files.
"""

import sys

ours, double, theirs = sys.argv[1:]

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    print(f"{error.name} is not installed")
    sys.exit(77)

SHAPES = {
    "l1.weight": (8, 4),
    "l1.bias": (8,),
    "norm.weight": (8,),
    "norm.bias": (8,),
    "norm.running_mean": (8,),
    "norm.running_var": (8,),
    "norm.num_batches_tracked": (),
    "l2.weight": (3, 8),
    "l2.bias": (3,),
}

read = load_file(ours)
assert {name: array.shape for name, array in read.items()} == SHAPES, read.keys()
for name, array in read.items():
    assert array.dtype == np.float32, (name, array.dtype)
    assert np.isfinite(array).all(), name
assert (read["norm.weight"] == 1).all() and (read["norm.bias"] == 0).all()
assert read["l1.weight"].std() > 0 and read["norm.running_mean"].std() > 0
assert (read["norm.running_var"] > 0.9).all() and read["norm.num_batches_tracked"] == 1

read64 = load_file(double)["x"]
assert read64.dtype == np.float64 and read64.tolist() == [[0.1, -2.5e300]], read64

doubled = {name: 2 * array for name, array in read.items()}
doubled["norm.num_batches_tracked"] = np.array(17, dtype=np.int64)

try:
    import torch
    from safetensors.torch import load_file as load_torch, save_file as save_torch
except ImportError:
    save_file(doubled, theirs)
    print("exchanged a model with Python's safetensors (numpy)")
    sys.exit(0)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.l2 = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.l2(torch.relu(self.norm(self.l1(x))))


network = Network().eval()  # so that the call below does not move the running statistics
network.load_state_dict(load_torch(ours))
assert network(torch.ones(2, 4)).shape == (2, 3)
for name, tensor in network.state_dict().items():
    assert np.array_equal(tensor.numpy(), read[name]), name
save_torch({name: torch.from_numpy(np.array(array)) for name, array in doubled.items()}, theirs)
print("exchanged a model with PyTorch")
