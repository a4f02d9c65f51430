"""From PyTorch to an artifact: python examples/export/torch_block.py out/block"""
import subprocess, sys
import torch
from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

config = MixtralConfig(hidden_size=32, intermediate_size=24, num_local_experts=4)
config._experts_implementation = "batched_mm"
block = MixtralSparseMoeBlock(config).eval()
for weight in block.parameters():
    torch.nn.init.normal_(weight, std=0.2)
program = torch.onnx.export(block, (torch.randn(1, 6, 32),), dynamo=True, verbose=False)
program.save(sys.argv[1] + ".onnx")
subprocess.run(["moe-compile", sys.argv[1] + ".onnx", "-o", sys.argv[1]], check=True)
