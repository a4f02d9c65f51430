# ===- setup.py - Builds the wheel ----------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Builds the runtime that the wheel carries, where there is its source.

lib/Runtime is C99 without dependencies, a second of compiling. Without it or
without a compiler the package is Python alone, and layers use the libmoe_rt that
they were linked with.
"""

import os
import re
import shutil
import subprocess
import sys

import setuptools
from setuptools import setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SOURCES = ["CPU", "Calibrate", "Cuda", "Driver", "Hip", "Hooks", "Pack", "PackBlocks", "Variant"]
VULKAN_SOURCES = ["Vulkan", "VulkanLaunch", "VulkanMemory"]


def find_compiler():
    names = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    return next(filter(None, map(shutil.which, names)), None)


def has_vulkan():
    compiler = find_compiler()
    return compiler and subprocess.run(
        [compiler, "-E", "-x", "c", "-"], input=b"#include <vulkan/vulkan.h>",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def find_sources():
    names = SOURCES + (VULKAN_SOURCES if has_vulkan() else ["VulkanAbsent"])
    files = [os.path.join(ROOT, "lib", "Runtime", name + ".c") for name in names]
    return files if all(map(os.path.isfile, files)) else []


def get_abi():
    with open(os.path.join(ROOT, "include", "moe-mlir", "Runtime", "moe_rt.h")) as header:
        return re.search(r"#define MOE_RT_ABI (\d+)u", header.read()).group(1)


HAS_RUNTIME = bool(find_sources() and find_compiler() and sys.platform == "linux")


class BuildPy(build_py):
    def run(self):
        super().run()
        if not HAS_RUNTIME or getattr(self, "editable_mode", False):
            return
        folder = os.path.join(self.build_lib, "moe_mlir", "lib")
        os.makedirs(folder, exist_ok=True)
        name = "libmoe_rt.so." + get_abi()
        subprocess.run([find_compiler(), "-std=c99", "-O2", "-fPIC", "-shared", "-pthread", "-fopenmp", "-s",
                        "-I" + os.path.join(ROOT, "include"), "-Wl,-soname," + name, *find_sources(),
                        "-o", os.path.join(folder, name)], check=True)


class Wheel(bdist_wheel):
    """One wheel for all versions of Python: nothing in it uses their C interface."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = not HAS_RUNTIME

    def get_tag(self):
        python, abi, platform = super().get_tag()
        return "py3", "none", platform if HAS_RUNTIME else "any"


class Distribution(setuptools.Distribution):
    def has_ext_modules(self):
        return HAS_RUNTIME


setup(distclass=Distribution, cmdclass={"build_py": BuildPy, "bdist_wheel": Wheel})
