"""Gives every tool that reads IR files that are none: each is refused with one
line that names the file, and none is waited for.

usage: check_files.py TOOLS_DIR, in a folder with module.mlirbc
"""
import os
import subprocess
import sys

with open("module.mlirbc", "rb") as file:
    bytecode = file.read()
files = {
    "empty": (b"", "is empty"),
    "elf": (b"\x7fELF\x02\x01\x01\x00", "is not text: byte 127 at offset 0"),
    "zeros": (b"\x00" * 4096, "is not text: byte 0 at offset 0"),
    "late": (b"module {}\n" * 1000 + b"\x01", "is not text: byte 1 at offset 10000"),
    # Whole, and damaged as a file from outside may be.
    "bytecode": (bytecode, "is MLIR bytecode"),
    "cut": (bytecode[:-20], "is MLIR bytecode"),
    "bitcode": (b"BC\xc0\xde" + b"\x35" * 64, "is LLVM bitcode"),
}
for name, (data, _) in files.items():
    with open(name, "wb") as file:
        file.write(data)
os.makedirs("folder", exist_ok=True)
os.mkfifo("pipe")
files["folder"] = (None, "Is a directory")
files["pipe"] = (None, "is a pipe or a device")
files["/dev/zero"] = (None, "is a pipe or a device")
files["absent"] = (None, "No such file or directory")

tools = {"moe-opt": [], "moe-compile": ["-o", "out"], "moe-run": ["--random=1"],
         "moe-interpret": [], "moe-quantize": ["--random=1", "--to=q4_0"],
         "moe-sparsify": ["--random=1", "--to=sparse24<bf16>"],
         "moe-raise": [], "moe-branch-check": []}
failures = []
for tool, more in tools.items():
    for name, (_, expected) in files.items():
        # For moe-opt as for mlir-opt, an empty file is an empty module.
        if (tool, name) == ("moe-opt", "empty"):
            continue
        path = os.path.join(sys.argv[1], tool)
        run = subprocess.run([path, name] + more, capture_output=True,
                             text=True, timeout=60, stdin=subprocess.DEVNULL)
        lines = run.stderr.splitlines()
        if (run.returncode not in (1, 2) or len(lines) != 1 or run.stdout
                or not lines[0].startswith("%s: error: %s: %s" %
                                           (tool, name, expected))):
            failures.append("%s %s: status %d\n%s" %
                            (tool, name, run.returncode, run.stderr))
    # The same from standard input.
    with open("cut") as data:
        run = subprocess.run([path, "-"] + more, capture_output=True, text=True,
                             stdin=data, timeout=60)
    # moe-run takes a file alone.
    if run.returncode not in (1, 2) or "is MLIR bytecode" not in run.stderr:
        failures.append("%s -: status %d\n%s" %
                        (tool, run.returncode, run.stderr))
print("\n".join(failures) or "files are refused")
sys.exit(bool(failures))
