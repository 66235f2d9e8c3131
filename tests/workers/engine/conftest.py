import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin beside other tests

import torch

torch.set_num_threads(1)  # the models are tiny
