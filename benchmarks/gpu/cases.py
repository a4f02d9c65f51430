#!/usr/bin/env python3
# ===- cases.py - Small layers and the results they should have ------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Makes what replay.py takes, on a machine with the compiler: a layer of each model,
made small, and models whose weights are in formats, for some targets, with inputs and
the results of the interpreter, which runs the model in float64.

    cases.py BUILD FOLDER [--targets=sm_90a,vulkan] [NAME...]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

from tensors import write_tensors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Layers of other routers, Top-Any and Top-p with a number of experts that was learned.
LAYERS = ("dynmoe_layer", "dynamic_top_p")
# A model of each kind of router, activation and shared expert.
MODELS = ("OLMoE-1B-7B", "Mixtral-8x7B", "Qwen3-30B-A3B", "DeepSeek-V2", "DeepSeek-V3", "gpt-oss-20b",
          "Llama-4-Scout-17B-16E", "switch-base-8", "NLLB-MoE-54B", "Phi-3.5-MoE", "Qwen1.5-MoE-A2.7B",
          "Gemma-4-26B-A4B", "Nemotron-3-Nano-30B-A3B", "Granite-3.0-3B-A800M", "Step-3.5-Flash")
# One token; a few rows an expert; and many, for products of warpgroups.
TOKENS = (1, 37, 300)
FORMATS = ("q4_0", "q4_k", "q6_k", "q8_0", "iq4_nl", "mxfp4", "fp8", "int8")
SMALL = {"hidden_size": 64, "d_model": 64, "intermediate_size": 128, "moe_intermediate_size": 128,
         "shared_expert_intermediate_size": 128, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "d_ff": 128,
         "num_experts": 16, "n_routed_experts": 16, "num_local_experts": 16}


def shrink(config):
    """Of every part of a configuration."""
    return {key: shrink(value) if isinstance(value, dict) else SMALL.get(key, value) if isinstance(value, int) else value
            for key, value in config.items()}


class Failed(Exception):
    pass


class Maker:
    def __init__(self, build, made):
        self.build, self.made = build, made

    def run(self, tool, *arguments):
        done = subprocess.run([self.build / "bin" / tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if "error:" in line] or [f"{tool} failed"]
            raise Failed(lines[0].split("error: ")[-1])

    def model(self, name, weights):
        """The path of its IR."""
        path = self.made / f"{name}.mlir"
        if name in LAYERS:
            text = (EXAMPLES / f"{name}.mlir").read_text()
            for old, new in ("512x256xf32", "128x256xbf16"), ("256x512xf32", "256x128xbf16"), ("256x", "64x"):
                text = text.replace(old, new)
            path.write_text(text)
            return path
        config = shrink(json.loads((EXAMPLES / "models" / f"{name.split(':')[0]}.json").read_text()))
        if weights != "bf16":  # widths that are whole blocks
            config.update((key, 256) for key in ("hidden_size", "intermediate_size", "moe_intermediate_size")
                          if key in config)
            config.update(num_experts=4, num_experts_per_tok=2)
        (self.made / "config.json").write_text(json.dumps(config))
        self.run("moe-import", f"--weights-type={weights}", self.made / "config.json", "-o", path)
        return path

    def results(self, name, model, inputs, folder):
        """Writes x and what comes out, for each number of tokens."""
        for tokens in TOKENS:
            random = np.random.default_rng(zlib.crc32(f"{name} {tokens}".encode()))
            given = {}
            for tensor in inputs:
                shape = [tokens if n == "T" else n for n in tensor["shape"]]
                given[tensor["name"]] = (random.standard_normal(shape, np.float32) if tensor["dtype"] == "f32" else
                                         random.integers(0, 100, shape, np.int32))
            path = folder / f"{name}.{tokens}.inputs"
            write_tensors(path, given)
            self.run("moe-interpret", model, "--random=1", f"--tokens={tokens}", f"--inputs={self.link(path)}", "-o",
                     self.made / "results.safetensors")
            shutil.move(self.made / "results.safetensors", folder / f"{name}.{tokens}.results")

    def link(self, path):
        """Tools know files by their endings."""
        link = self.made / "inputs.safetensors"
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
        return link

    def case(self, name, targets, folder):
        weights = name.split(":")[1] if ":" in name else "bf16"
        model, done = self.model(name, weights), False
        for target in targets:
            to = folder / target
            to.mkdir(exist_ok=True)
            try:
                self.run("moe-compile", f"--target={target}", "--emit=shared,manifest", model, "-o", self.made / "a")
                self.run("moe-pack", self.made / "a.json", "--random=1", "-o", self.made / "a.safetensors")
            except Failed as error:
                print(f"cases.py: {name} is left out of {target}: {error}", file=sys.stderr)
                continue
            function, = json.loads((self.made / "a.json").read_text())["functions"]
            for ending in ("so", "json"):
                shutil.move(self.made / f"a.{ending}", to / f"{name}.{ending}")
            # Targets whose layouts are the same share the file.
            shared = folder / f"{name}.weights"
            data = (self.made / "a.safetensors").read_bytes()
            if not shared.exists():
                shared.write_bytes(data)
            elif shared.read_bytes() != data:
                (to / f"{name}.weights").write_bytes(data)
            inputs = [a for a in function["arguments"] if "T" in a["shape"]]
            if not done:
                self.results(name, model, inputs, folder)
            done = True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--targets", default="sm_90a,vulkan", type=lambda text: text.split(","))
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    names = options.names or [*MODELS, *LAYERS, *(f"OLMoE-1B-7B:{own}" for own in FORMATS)]
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            try:
                Maker(options.build.resolve(), Path(made)).case(name, options.targets, options.folder)
            except Failed as error:
                print(f"cases.py: {name} is left out: {error}", file=sys.stderr)
    print(f"{len(list(options.folder.glob('*/*.so')))} artifacts, "
          f"{sum(p.stat().st_size for p in options.folder.rglob('*') if p.is_file()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
