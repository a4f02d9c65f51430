# A layer that is raised from an export compiles to the kernels of the model that
# is imported from its config: the same instructions.
#
# RUN: %python %s %t

import json
import os
import re
import subprocess
import sys

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs", "exports")
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
failures = 0

cases = {
    # As the model does it: softmax over all experts, then the best ones over
    # their sum. moe-import's Mixtral is simpler, and Qwen3-MoE's is this.
    "mixtral": {"model_type": "qwen3_moe", "hidden_size": 32, "num_experts": 4, "num_experts_per_tok": 2,
                "moe_intermediate_size": 24, "norm_topk_prob": True, "hidden_act": "silu",
                "decoder_sparse_step": 1, "num_hidden_layers": 1, "mlp_only_layers": []},
    "gpt_oss": {"model_type": "gpt_oss", "hidden_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2,
                "intermediate_size": 24, "num_hidden_layers": 1},
    # The exporter dropped the 1e-20 that the weights' sum starts from.
    "deepseek_v3": {"model_type": "deepseek_v3", "hidden_size": 32, "n_routed_experts": 16,
                    "num_experts_per_tok": 3, "moe_intermediate_size": 24, "n_group": 4, "topk_group": 2,
                    "n_shared_experts": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": True,
                    "hidden_act": "silu", "num_hidden_layers": 1, "first_k_dense_replace": 0,
                    "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
}


def run(*command):
    global failures
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        failures += 1
        print("FAILED:", *command)
        print(result.stdout[-2000:])


def kernels(model, function):
    """The instructions of each kernel, without the numbers of labels."""
    with open(model) as file:
        text = file.read().replace("@" + function + "(", "@layer(")
    with open(model, "w") as file:
        file.write(text)
    assembly = model + ".s"
    run("moe-compile", model, "--target=x86-64-v3", "--emit=asm", "-o", assembly)
    found, name = {}, None
    for line in open(assembly):
        label = re.match(r"([A-Za-z_]\w*):", line)
        if label:
            name = label.group(1)
            found[name] = []
        elif name and line.strip() and not line.strip().startswith((".", "#")):
            found[name].append(re.sub(r"\.L[A-Z]+\d+_?\d*", ".L", line.split("#")[0].rstrip()))
    return {n: code for n, code in found.items() if re.match(r"layer__(\w+_)?parallel_\d+$|moek_", n)}


for name, config in cases.items():
    path = os.path.join(folder, "config.json")
    with open(path, "w") as file:
        json.dump(config, file)
    imported, raised = (os.path.join(folder, name + end) for end in (".imported.mlir", ".raised.mlir"))
    run("moe-import", path, "-o", imported)
    run("moe-raise", os.path.join(here, name + ".onnx"), "-o", raised)
    a, b = kernels(imported, "layer_0"), kernels(raised, "model")
    wrong = sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))
    if name == "deepseek_v3":
        wrong = [n for n in wrong if "__route_" not in n]
    if wrong or not any("grouped_matmul" in n for n in a):
        failures += 1
        print("%s: %s differ; imported are %s, raised are %s" % (name, wrong, sorted(a), sorted(b)))

print("%d failures" % failures)
sys.exit(failures != 0)
