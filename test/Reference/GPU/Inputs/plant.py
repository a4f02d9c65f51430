"""Planting faults into the kernels of a layer that was compiled for GPUs, for the
tests of this folder: each has to be found, in every order."""
import os
import re

from kernels import (BOUND, F32_BOUND, IS_VULKAN, compile_for, get_width, must, run,
                     write_tensors)

RACE = r"error: .*: race: %s byte \d+ of shared memory, and nothing orders it " \
       r"behind a %s of it(.|\n)*note: '%s'"
WRONG = r"error: 'y' differs at element"
STUCK = r"error: kernel '%s', block \d+: no warp can go on(.|\n)*" \
        r"waits at '%s' for .* are missing"

SLOTS, EXPERTS = 2, 4


def removed(op):
    """Each line with this operation."""
    return (r"\n[^\n]*\b%s\b[^\n]*" % re.escape(op), "")


def make_inputs(layer, folder, tokens, experts):
    """The arguments of a run, its routing and its results."""
    arguments = ("--random=3", "--tokens=%d" % tokens)
    given, expected = [os.path.join(folder, "%s%d.safetensors" % (name, tokens))
                       for name in ("given", "expected")]
    write_tensors(given, {
        "routing.indices": ("I32", [tokens, SLOTS], experts),
        "routing.weights": ("F32", [tokens, SLOTS],
                            [0.25 + 0.5 * (i % 2) if e >= 0 else 0
                             for i, e in enumerate(experts)])})
    must("moe-interpret", layer, *arguments, "--inputs=" + given, "-o", expected)
    return (*arguments, "--multiprocessors=1", "--inputs=" + given,
            "--expect=" + expected)


def plant(faults, layer, folder, options=(), make=make_inputs, bound=F32_BOUND if IS_VULKAN else BOUND):
    """Faults are a name, a chip, a kernel, a pattern, what replaces it how often
    (0: always), and what is said then."""
    os.makedirs(folder, exist_ok=True)
    # Every third slot has no expert; the others go round, and no expert has a
    # multiple of eight rows but the first.
    many, some = [make(layer, folder, tokens,
                              [(i * 5 + i // 11) % EXPERTS if i % 3 else -1
                               for i in range(tokens * SLOTS)])
                  for tokens in (130, 12 if IS_VULKAN else 40)]
    one = make(layer, folder, 1, [2, 1])
    text = {}
    for chip in sorted({fault[1] for fault in faults}):
        path = os.path.join(folder, chip + ".mlir")
        compile_for(chip, layer, path, *options)
        with open(path) as file:
            text[chip] = file.read()
    failures = []
    for name, chip, kernel, pattern, replacement, count, said in faults:
        # The kernel alone, from its name to its end.
        begin = text[chip].index("llvm.func @layer_%s(" % kernel)
        end = text[chip].index("llvm.return", begin)
        body, edits = re.subn(pattern, replacement, text[chip][begin:end], count)
        if not edits:
            failures.append(name + ": there is nothing to change")
            continue
        bad = os.path.join(folder, "bad.mlir")
        with open(bad, "w") as file:
            file.write(text[chip][:begin] + body + text[chip][end:])
        # The number of tokens for which a call takes this kernel.
        inputs = (one if "decode" in kernel else
                  some if "few" in kernel and not chip.startswith("sm") else many)
        for order in (0, 1, 2):
            status, output = run("moe-interpret", "--gpu", bad, *inputs,
                                 "--order=%d" % order, *get_width(chip),
                                 "--tolerance=%g" % bound)
            if status != 1 or not re.search(said, output):
                failures.append("%s, %s, order %d: expected %s, got status %d and %s"
                                % (name, chip, order, said, status,
                                   "\n".join(line[:300] for line in
                                             output.split("\n")[:8])))
    print("%d faults, %d missed" % (len(faults), len(failures)))
    if failures:
        raise SystemExit("\n".join(failures))
