"""Checks which part of the repository knows which; RATIONALE.md says why.

usage: check_layering.py REPO
"""
import os
import re
import sys

root = sys.argv[1]
failures = []


def sources(*folders, endings=(".h", ".cpp", ".c", ".td")):
    """Yields (name, text) of the sources below the folders."""
    for folder in folders:
        for path, _, files in os.walk(os.path.join(root, folder)):
            for name in sorted(files):
                if name.endswith(endings):
                    full = os.path.join(path, name)
                    with open(full, encoding="utf-8") as file:
                        yield os.path.relpath(full, root), file.read()


def forbid(folders, pattern, why):
    """No source below `folders` includes a header that matches."""
    for name, text in sources(*folders):
        for number, line in enumerate(text.split("\n"), 1):
            include = re.match(r'\s*#?\s*include\s+["<]([^">]+)[">]', line)
            if include and re.match(pattern, include.group(1)):
                failures.append("%s:%d: includes %s; %s" %
                                (name, number, include.group(1), why))


forbid(["dialects"], r"moe-mlir/",
       "the language knows nothing that works on it")
forbid(["dialects/moe"], r"moek/", "what is computed does not know how")
forbid(["lib/Runtime", "include/moe-mlir/Runtime"], r"(mlir|llvm|moe|moek)/",
       "the runtime is plain C")
forbid(["lib/Halide", "include/moe-mlir/Halide"], r"(mlir|llvm|moek?|moe_[a-z]+)/",
       "Halide brings an LLVM of its own: nothing of ours is beside it")
forbid(["lib/Reference", "include/moe-mlir/Reference"],
       r"(moek/|moe-mlir/(Conversion|Target|Lowering|Transforms|Pipelines|Compiler|Artifact)/)",
       "the interpreter shares nothing with what it checks")
forbid(["lib/Reference", "include/moe-mlir/Reference"],
       r"(.*/)?(formats/|FormatHelpers)",
       "the interpreter has its own decoders of weights")
forbid(["lib/Support", "include/moe-mlir/Support"],
       r"(moek?/|mlir/|moe-mlir/(?!Support/))",
       "host tensors are plain C++")
forbid(["lib/Transforms", "include/moe-mlir/Transforms"],
       r"(moek/|moe-mlir/(Conversion|Target|Lowering|Pipelines|Compiler|Import)/)",
       "passes from moe to moe know no kernel")
forbid(["lib/Sparsity", "include/moe-mlir/Sparsity"],
       r"(moek/|moe-mlir/(?!Analysis/|Artifact/Profile|Sparsity/|Transforms/))",
       "passes from moe to moe know no kernel, and of other libraries those of "
       "such passes, what is known of IR, and profiles")
forbid(["lib/Import", "include/moe-mlir/Import"],
       r"(moek/|moe-mlir/(Conversion|Target|Lowering|Pipelines|Compiler|Reference)/)",
       "an importer makes model IR and nothing else")
forbid(["lib/Quantize", "include/moe-mlir/Quantize"],
       r"(moek/|moe-mlir/(Conversion|Target|Lowering|Pipelines|Compiler|Import)/)",
       "who converts weights knows no kernel")
forbid(["lib/Reference", "include/moe-mlir/Reference"], r"moe-mlir/Quantize/",
       "what is written is judged by somebody else's decoder")
forbid(["lib/Conversion", "include/moe-mlir/Conversion"],
       r"moe-mlir/(Pipelines|Compiler|Import|Reference|Bench)/",
       "conversions do not know who calls them")


def all_but(*folders):
    """All folders of libraries but some."""
    return [os.path.join(kind, folder) for kind in ("lib", "include/moe-mlir")
            if os.path.isdir(os.path.join(root, kind))
            for folder in sorted(os.listdir(os.path.join(root, kind)))
            if folder not in folders]


forbid(all_but("Tool"), r"moe-mlir/Tool/", "libraries know no command line")
forbid(["lib/Analysis", "include/moe-mlir/Analysis"],
       r"moe-mlir/(?!Analysis/)",
       "what is known of IR does not depend on who asks")
forbid(["lib/Run", "include/moe-mlir/Run"],
       r"(moek/|moe-mlir/(Bench|Conversion|Import|Lowering|Transforms)/)",
       "who runs artifacts knows no pass")
forbid(all_but("Run", "Bench"), r"moe-mlir/Run/",
       "what is run does not know who runs it")
forbid(all_but("Bench"), r"moe-mlir/Bench/", "nothing needs a benchmark")
forbid(["tools"], r"(moek/|moe-mlir/(Lowering|Runtime|Target)/)",
       "a tool is a command line: libraries do the work")
forbid(["lib/Tool", "include/moe-mlir/Tool"],
       r"(moek?/|moe-mlir/(?!(Tool|Support)/))",
       "command lines know no compiler: each tool brings its parts")
# What is known of CPUs is known in one place. Run and Bench, which work on this
# machine, ask it for the variant that runs and measure what the machine can do.
outside_cpu = [os.path.join(top, folder)
               for top in ("lib", "include/moe-mlir", "dialects")
               if os.path.isdir(os.path.join(root, top))
               for folder in sorted(os.listdir(os.path.join(root, top)))
               if folder not in ("Target", "moe_cpu", "InitAll", "Bench", "Run",
                                 "Support", "Runtime")
               and os.path.isdir(os.path.join(root, top, folder))]
forbid(outside_cpu, r"(moe_cpu/|moe-mlir/Target/CPU/)",
       "only the CPU target knows CPUs")
outside_gpu = [folder for folder in outside_cpu
               if os.path.basename(folder) not in ("moe_amd", "moe_nvidia",
                                                   "moe_vulkan")]
outside_gpu += [os.path.join(top, "Target", "CPU")
                for top in ("lib", "include/moe-mlir")]
forbid(outside_gpu, r"(moe_amd/|moe_nvidia/|moe_vulkan/|moe-mlir/Target/GPU/)",
       "only their targets know GPUs")
forbid(["lib/Target/GPU/Common", "include/moe-mlir/Target/GPU/Common"],
       r"(moe_(amd|nvidia|vulkan)/|moe-mlir/Target/GPU/(AMD|NVIDIA|Vulkan)/"
       r"|NVVM|ROCDL|SPIRV)",
       "what GPUs share names none of them")
for name, text in sources(*outside_cpu):
    for number, line in enumerate(text.split("\n"), 1):
        word = re.search(r"\bgetLanes\(|\bavx|\bAVX|\bneon\b|\bNEON\b|(?:memref|vector|LLVM)::Prefetch(?:Op)?\b|x86vector|arm_sve|arm_neon", line)
        if word:
            failures.append("%s:%d: '%s' belongs into lib/Target/CPU" %
                            (name, number, word.group(0)))
forbid(["lib/Target/CPU", "include/moe-mlir/Target/CPU"],
       r"moe-mlir/(Pipelines|Compiler|Import|Reference|Bench)/",
       "a target does not know who calls it")
forbid(["lib", "include"], r"(tools/|\.\./\.\./)",
       "libraries do not reach into other folders")

# What grows beyond its options has work in it that nobody can call.
for name, text in sources("tools"):
    if text.count("\n") > 200:
        failures.append("%s: %d lines; a tool is a command line: libraries do "
                        "the work" % (name, text.count("\n")))

# Libraries give results to who calls them, and leave the process alone.
for name, text in sources("lib/Run", "lib/Analysis", "lib/Artifact",
                          "lib/Quantize"):
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(r"\b(outs|errs|exit|abort)\(|\bstd::cout|\bprintf\(",
                     line.split("//")[0]):
            failures.append("%s:%d: prints, or ends the process: %s" %
                            (name, number, line.strip()))

# No source knows a machine.
for name, text in sources("dialects", "include", "lib", "tools", "examples",
                          "scripts", "cmake", "test",
                          endings=(".h", ".cpp", ".c", ".td", ".py", ".sh",
                                   ".txt", ".cmake", ".in", ".mlir", ".test")):
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(r"(?<![\w.%}$/-])/(home|root|work|Users)/\w|\.\./shared\b",
                     line) and not name.endswith("check_layering.py"):
            failures.append("%s:%d: a path of one machine: %s" %
                            (name, number, line.strip()))

# Every example is in a test, and every dialect has its reasons written down.
tests = "\n".join(text for _, text in sources(
    "test", endings=(".test", ".mlir", ".py", ".c", ".cpp", ".cfg.py")))
for example in sorted(os.listdir(os.path.join(root, "examples"))):
    if not re.search(r"examples[/', \"]+%s\b" % re.escape(example), tests):
        failures.append("examples/%s: no test names it" % example)

# Sources carry the license.
for name, text in sources("dialects", "include", "lib", "tools", "examples",
                          "test"):
    if "/Inputs/" in name and not name.startswith("test/Package"):
        continue
    if "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception" not in text:
        failures.append("%s: no license header" % name)

print("\n".join(failures) or "fine")
sys.exit(bool(failures))
