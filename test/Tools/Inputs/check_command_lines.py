"""What the command lines of all tools have in common.

usage: check_command_lines.py TOOLS_DIR VERSION TOOL...

Help in groups with examples whose options exist, the project's version, one
text for an option that several tools have, and completion that bash runs.
"""
import os
import re
import subprocess
import sys

folder, version, *tools = sys.argv[1:]
failures = []
helps = {}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, **options)


def check(good, tool, what):
    if not good:
        failures.append("%s: %s" % (tool, what))


def options_of(text):
    """Options of a help text, with what is said of them."""
    found = {}
    for match in re.finditer(r"^  (--?[\w-]+)(\[?[= ]<.*>\]?)?(?:  +|\n +)(.*\n"
                             r"(?: {20,}.*\n)*)", text, re.M):
        found[match.group(1)] = " ".join(match.group(3).split())
    return found


for tool in tools:
    path = os.path.join(folder, tool)
    result = run(path, "--help")
    text = result.stdout
    check(result.returncode == 0 and not result.stderr, tool, "--help fails")
    check(text.startswith("Usage: %s [options]" % tool), tool,
          "does not begin with its use")
    groups = re.findall(r"^([A-Z][\w -]*):\n(?!\n)|^(Examples):", text, re.M)
    groups = [first or second for first, second in groups]
    check("General" in groups and groups[-1] == "Examples" and len(groups) > 2,
          tool, "groups %s" % groups)
    helps[tool] = options = options_of(text)
    for name in ("--help", "--version", "--completion"):
        check(name in options, tool, "%s is not in the help" % name)
    for name in ("--print-after-all", "--time-passes", "--stats", "--x86-asm-syntax"):
        check(name not in text, tool, "shows LLVM's " + name)
    for line in text.splitlines():
        check(len(line) <= 80 or not line.startswith("  -"), tool,
              "long line: " + line)
    examples = text.partition("\nExamples:\n")[2]
    check(re.search(r"^[A-Z].*:\n\n  .*\b%s .*$" % tool, examples, re.M), tool,
          "no example of itself")
    result = run(path, "--version")
    check(result.returncode == 0 and re.match(
        r"%s \(MoE-MLIR\) %s\nMade with LLVM and MLIR 22\.1\.\d+\.\n" %
        (tool, re.escape(version)), result.stdout), tool,
        "--version: " + result.stdout)
    result = run(path, "--completion=csh")
    check(result.returncode != 0 and "known are bash, zsh and fish" in
          result.stderr, tool, "--completion=csh: " + result.stderr)

# Options that examples use are those of the tool that is called.
for tool in tools:
    text = run(os.path.join(folder, tool), "--help").stdout
    for line in re.findall(r"^  (moe-.*)$", text.partition("\nExamples:\n")[2],
                               re.M):
        for command in line.split(" | "):
            words = re.sub(r"""(["']).*?\1""", "x", command).split()
            for word in words[1:]:
                name = word.split("=")[0]
                if name.startswith("-") and name != "-":
                    check(name in helps[words[0]], tool,
                          "the example has %s, which %s has not" %
                          (name, words[0]))

# Which tool has which word of the vocabulary. Where the same word is said
# twice, it is said alike.
vocabulary = {
    "--allow-bytecode": "bench branch-check compile interpret opt quantize run",
    "--load-dialect-plugin": "bench compile interpret opt quantize run",
    "--load-pass-plugin": "bench compile interpret opt quantize run",
    "--pass-pipeline": "compile interpret opt run",
    "--pipeline-extension": "bench compile run",
    "--mlir-timing": "bench compile opt run",
    "--mlir-print-ir-after-all": "bench compile opt run",
    "--remarks-filter": "bench compile opt run",
    "--entry": "bench interpret pack run",
    "--inputs": "interpret pack quantize run",
    "--random": "interpret pack quantize run",
    "--size": "interpret run",
    "--tokens": "bench import interpret run",
    "--threads": "bench interpret quantize run",
    "--json": "bench quantize run",
    "--target": "compile run",
    "--list-targets": "bench compile run",
    "--list-models": "bench import",
    "-o": "branch-check compile import interpret opt pack quantize run",
}
for name, having in vocabulary.items():
    for tool in having.split():
        check(name in helps["moe-" + tool], "moe-" + tool, "has no " + name)
for name in ("--random", "--size", "--allow-bytecode", "--load-dialect-plugin",
             "--load-pass-plugin", "--pipeline-extension", "--remarks-filter",
             "--json"):
    texts = {options[name] for options in helps.values() if name in options}
    check(len(texts) == 1, name, "is said in several ways: %s" % texts)
for tool, options in helps.items():
    for name in ("--sizes", "--num-threads", "--seed", "--output-file"):
        check(name not in options, tool, name + " is not in the vocabulary")

# Completion: names, and values that are known.
for tool, words, expected in [
        ("moe-compile", ["--em"], {"--emit="}),
        ("moe-compile", ["--emit", "=", "he"], {"header"}),
        ("moe-compile", ["--compile-to", "="],
         {"model", "fused", "planned", "bufferized", "vector", "runtime",
          "llvm"}),
        ("moe-run", ["--verify-t"], {"--verify-tokens="}),
        ("moe-opt", ["--moe-fusion-p"], {"--moe-fusion-pipeline"})]:
    script = ("source <('%s' --completion=bash)\nCOMP_WORDS=(%s)\n"
              "COMP_CWORD=%d\n_%s\nprintf '%%s\\n' \"${COMPREPLY[@]}\"" %
              (os.path.join(folder, tool),
               " ".join("'%s'" % word for word in [tool] + words), len(words),
               tool.replace("-", "_")))
    if words[-1] == "=":
        script = script.replace("COMP_CWORD", "COMP_CWORD", 1)
    result = run("bash", "-c", script)
    check(set(result.stdout.split()) == expected, tool,
          "completes %s to %s %s" % (words, result.stdout.split(),
                                     result.stderr))

print("\n".join(failures) or "%d command lines are fine" % len(tools))
sys.exit(bool(failures))
