"""Compiles a program with the flags that pkg-config tells of moe_rt.

usage: build_by_pkgconf.py CC SOURCE.c PKGCONFIG_DIR OUTPUT
"""
import os
import subprocess
import sys

cc, source, folder, output = sys.argv[1:]
flags = subprocess.run(["pkg-config", "--cflags", "--libs", "moe_rt"],
                       env=dict(os.environ, PKG_CONFIG_PATH=folder),
                       check=True, capture_output=True, text=True).stdout
sys.exit(subprocess.run([cc, source] + flags.split() +
                        ["-o", output]).returncode)
