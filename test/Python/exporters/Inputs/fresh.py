"""Exports models afresh, and compares what is raised with the models themselves.

usage: fresh.py EXAMPLES FOLDER
"""

import os
import re
import runpy
import subprocess
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssConfig, GptOssMLP
from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

import moe_mlir.export

examples, folder = sys.argv[1:]
random = np.random.default_rng(4)
torch.manual_seed(4)


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, " ".join(command) + "\n" + result.stdout[-2000:]
    return result.stdout


def check(name, source, inputs, *expected):
    """Raises `source`; `inputs` are its arguments in order, but for weights in a file."""
    raised = os.path.join(folder, name + ".raised.mlir")
    said = run("moe-raise", "--explain", "--check=1", source, "-o", raised)
    for layer in re.findall(r": (a layer of .*)", said):
        print(f"{name}: {layer}")
    head = re.search(r"func\.func (?:public )?@.*", open(raised).read()).group(0)
    names, results = (re.findall(r'moe\.name = "([^"]*)"', part) for part in head.split("->", 1))
    given, result = raised + ".in.safetensors", raised + ".out.safetensors"
    save_file({names[i]: np.ascontiguousarray(array) for i, array in enumerate(inputs)}, given)
    save_file({one: np.ascontiguousarray(array) for one, array in zip(results, expected, strict=True)}, result)
    files = given + ("," + raised[:-len("mlir")] + "safetensors" if source.endswith(".onnx") else "")
    run("moe-interpret", raised, "--inputs=" + files, "--expect=" + result, "--tolerance=1e-5")
    artifact = os.path.join(folder, name)
    if not os.path.exists(artifact + ".json"):
        run("moe-compile", source, "-o", artifact)
    run("moe-run", artifact + ".json", "--model=" + raised, "--random=3", "--verify")
    print(f"{name}: as the model", flush=True)


def run_example(name):
    """The globals of an example, run as its users do."""
    sys.argv = [name, os.path.join(folder, name)]
    return runpy.run_path(os.path.join(examples, name + ".py"))


found = run_example("jax_layer")
arrays = [random.normal(size=value.shape).astype(np.float32) * (0.2 if i > 1 else 1)
          for i, value in enumerate([found["x"], *found["weights"]])]
with found["jax"].default_matmul_precision("highest"):
    expected = np.asarray(found["layer"](*arrays))
check("jax_layer", os.path.join(folder, "jax_layer.mlir"), arrays, expected)

x = torch.randn(1, 6, 32)
with torch.no_grad():
    block = run_example("torch_block")["block"]
    y = block(x)
    check("torch_block", os.path.join(folder, "torch_block.onnx"), [x.numpy()], y.numpy())

    # Experts as one operation.
    moe_mlir.export.register()
    sizes = dict(hidden_size=32, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2)
    for name, block in (("mixtral", MixtralSparseMoeBlock(MixtralConfig(**sizes))),
                        ("gpt_oss", GptOssMLP(GptOssConfig(**sizes)))):
        block.eval()
        for weight in block.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        block.experts.config._experts_implementation = "eager"
        y = block(x)
        block.experts.config._experts_implementation = moe_mlir.export.NAME
        program = torch.onnx.export(block, (x,), dynamo=True, verbose=False,
                                    custom_translation_table=moe_mlir.export.onnx_translations())
        assert [node.op_type for node in program.model.graph].count("ExportedExperts") == 1
        program.save(os.path.join(folder, name + ".onnx"))
        # With the weights of the router, or without.
        check(name, os.path.join(folder, name + ".onnx"), [x.numpy()],
              *(one.numpy() for one in (y if isinstance(y, tuple) else (y,))))
