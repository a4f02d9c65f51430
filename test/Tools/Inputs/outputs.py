"""Runs tools where their files cannot be written, and ends them at any moment.

usage: outputs.py limits|tmpfs|stdout|kill MODEL.mlir MANIFEST.json

Whatever happens, a folder holds the files it had before, or all of the new
ones, each of them whole.
"""
import glob
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

mode, model, manifest = sys.argv[1:]
base = os.path.splitext(manifest)[0]
partial = ".moe-partial"
failures = []


def snapshot(folder):
    files = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as file:
                files[os.path.relpath(full, folder)] = file.read()
    return files


# What each tool writes, as commands with {} for the folder: the options behind
# the first colon of the name tell which of several kinds of output.
compiled = ["moe-compile", model, "--target=x86-64-v3"]
run = ["moe-run", manifest, "--random=1", "--tokens=64"]
commands = {
    "moe-compile": (compiled + ["-o", "{}/m"],
                    ["m.o", "m.a", "m.so", "m.h", "m.json"]),
    "moe-compile: texts": (compiled + ["-o", "{}/m", "--emit=header,manifest"],
                           ["m.h", "m.json"]),
    "moe-compile: asm": (compiled + ["-o", "{}/m.s", "--emit=asm"], ["m.s"]),
    "moe-opt": (["moe-opt", model, "-o", "{}/m.mlir"], ["m.mlir"]),
    "moe-pack": (["moe-pack", manifest, "--random=1", "-o",
                  "{}/w.safetensors"], ["w.safetensors"]),
    "moe-run": (run + ["-o", "{}/y.safetensors"], ["y.safetensors"]),
    "moe-run: npy": (run + ["-o", "{}/y.npy"], ["y.npy"]),
    "moe-run: folder": (run + ["-o", "{}/y/z"], []),
    "moe-run: report": (run + ["-o", "{}/y.npy",
                               "--routing-report={}/r.html"],
                        ["y.npy", "r.html"]),
    "moe-quantize": (["moe-quantize", model, "--random=1", "--to=f16", "-o",
                      "{}/q", "--json={}/q.json", "--error-report={}/q.html"],
                     ["q.mlir", "q.safetensors", "q.json", "q.html"]),
    "moe-sparsify": (["moe-sparsify", model, "--random=1",
                      "--to=sparse24<bf16>", "-o", "{}/s"],
                     ["s.mlir", "s.safetensors"]),
    "moe-raise": (["moe-raise", model, "-o", "{}/m.mlir"], ["m.mlir"]),
    "moe-interpret": (["moe-interpret", model, "--random=1", "--size=T=64",
                       "-o", "{}/y.safetensors"], ["y.safetensors"]),
}


def start(command, folder, limit=None, stdout=subprocess.DEVNULL):
    def prepare():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.Popen([word.replace("{}", folder) for word in command],
                            preexec_fn=prepare, stdout=stdout,
                            stderr=subprocess.PIPE, text=True)


def check_refusal(name, process, words):
    """One message that says what could not be written, and no more."""
    _, text = process.communicate()
    # The linker's own words come behind a message, which counts.
    errors = [line for line in text.split("\n")
              if "error:" in line and "moe-" in line.split("error:")[0]
              or "cannot write" in line]
    if process.returncode != 1 or len(errors) != 1 or "LLVM ERROR" in text \
            or not any(word in text for word in words):
        failures.append("%s: exit status %s and %d errors in:\n%s" %
                        (name, process.returncode, len(errors), text))


def refuse(limit, folder, words, fill=lambda: None):
    for name, (command, outputs) in commands.items():
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.exists("disk/rest"):
            os.remove("disk/rest")
        os.makedirs(folder)
        for output in outputs:
            with open(os.path.join(folder, output), "w") as file:
                file.write("old " + output)
        fill()
        before = snapshot(folder)
        check_refusal(name, start(command, folder, limit), words)
        if snapshot(folder) != before or os.path.isdir(folder + "/y"):
            failures.append("%s: left %s" % (name, os.listdir(folder)))


if mode == "limits":
    # Large enough for nothing but pipes.
    refuse(200, "limited", ["File too large"])
elif mode == "tmpfs" and subprocess.run(
        ["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode:
    print("no privilege to mount anything")
elif mode == "tmpfs":
    sys.exit(subprocess.run(["unshare", "-m", sys.executable, sys.argv[0],
                             "mounted", model, manifest]).returncode)
elif mode == "mounted":
    # In a mount namespace of its own.
    os.makedirs("disk", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "disk"],
                   check=True)

    def fill():
        with open("disk/rest", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
    refuse(None, "disk/full", ["No space left on device"], fill)
elif mode == "stdout":
    for name, command in [
            ("moe-compile", compiled + ["--emit=asm"]),
            ("moe-opt", ["moe-opt", model]),
            ("moe-interpret", ["moe-interpret", model, "--random=1",
                               "--size=T=1", "--print"]),
            ("moe-run", run),
            ("moe-bench", ["moe-bench", "--list"])]:
        with open("/dev/full", "w") as full:
            check_refusal(name, start(command, ".", stdout=full),
                          ["No space left on device"])
elif mode == "kill":
    seed = random.randrange(1 << 32)
    print("seed", seed)
    random.seed(seed)
    for name, times in (("moe-compile", 8), ("moe-pack", 4),
                        ("moe-quantize", 4)):
        command, outputs = commands[name]
        folder = "killed"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        began = time.monotonic()
        if start(command, folder).wait() != 0:
            failures.append(name + ": fails")
        seconds = time.monotonic() - began
        new = snapshot(folder)
        if sorted(new) != sorted(outputs):
            failures.append("%s: wrote %s" % (name, sorted(new)))
        for which in [signal.SIGTERM, signal.SIGINT] + [signal.SIGKILL] * times:
            old = {}
            for output in outputs:
                old[output] = ("old " + output).encode()
                with open(os.path.join(folder, output), "wb") as file:
                    file.write(old[output])
            process = start(command, folder)
            time.sleep(random.uniform(0, 1.1 * seconds))
            process.send_signal(which)
            process.communicate()
            for file, bytes in snapshot(folder).items():
                if file.endswith(partial) and which == signal.SIGKILL:
                    continue
                if file not in outputs or bytes not in (old[file], new[file]):
                    failures.append("%s: signal %s left %s" %
                                    (name, which, file))
        # What is left is in nobody's way.
        if start(command, folder).wait() != 0:
            failures.append(name + ": fails")
        left = {file: bytes for file, bytes in snapshot(folder).items()
                if not file.endswith(partial)}
        if left != new:
            failures.append(name + ": does not recover")

print("\n".join(failures) or "fine")
sys.exit(bool(failures))
