"""How lit runs the tests of MoE-MLIR.

Tools are found by name in the build's bin folder and then in LLVM's, so a new
tool needs no line here. Substitutions:

  %python      the Python that CMake found
  %cc, %cxx    the compilers of the build
  %cmake       the CMake of the build
  %peers_python the Python of the environment of scripts/python-peers.sh
  %exporters_python the same of scripts/python-peers.sh exporters
  %moe_src     the root of the repository
  %moe_build   the root of the build
  %moe_version the version of the project
  %moe_tools   the names of its tools
  %moe_lib     the folder of the build's libraries
  %examples    the folder examples/ of the repository
  %run_mlir    runs the function @main of IR that has no moe op left, read
               from standard input

Features are probed, never declared; see below for their names.
"""

import glob
import os
import platform
import shutil
import subprocess

import lit.formats

config.name = "MoE-MLIR"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test", ".c", ".cpp", ".py"]
config.excludes = [
    "CMakeLists.txt",
    "Inputs",
    "lit.cfg.py",
    "lit.site.cfg.py",
    "lib",
    "unit",
]
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(config.moe_build_dir, "test")

# -- Tools and substitutions --------------------------------------------------

config.environment["PATH"] = os.pathsep.join(
    [config.moe_tools_dir, config.llvm_tools_dir, config.environment.get("PATH", "")]
)
# FileCheck explains a failure by what it saw before it.
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --dump-input=fail"
for name in ("OMP_NUM_THREADS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
             "LSAN_OPTIONS", "HOME", "QEMU_LD_PREFIX"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# Upstream's lowering of everything but our dialects, for small tests: no
# pipeline of this project takes part, so what they check is the input IR.
run_mlir = (
    "mlir-opt --one-shot-bufferize=bufferize-function-boundaries "
    "--convert-linalg-to-loops --convert-vector-to-scf=full-unroll=true "
    "--convert-scf-to-cf "
    "--expand-strided-metadata --lower-affine --convert-math-to-libm "
    "--convert-vector-to-llvm --convert-to-llvm --reconcile-unrealized-casts "
    "| mlir-runner --entry-point-result=void --shared-libs="
    + ",".join(os.path.join(config.llvm_libs_dir, "libmlir_%s.so" % lib)
               for lib in ("runner_utils", "c_runner_utils")))

examples = os.path.join(config.moe_source_dir, "examples")
for name, value in [
    ("%python", '"%s"' % config.python),
    # Programs of tests link what was built with the sanitizers, if it was.
    ("%cc", ('"%s" %s' % (config.host_cc, config.sanitize_flags)).strip()),
    ("%cxx", ('"%s" %s' % (config.host_cxx, config.sanitize_flags)).strip()),
    ("%cmake", '"%s"' % config.cmake),
    ("%moe_src", config.moe_source_dir),
    ("%moe_build", config.moe_build_dir),
    ("%moe_tools", config.moe_tools),
    ("%moe_version", config.moe_version),
    ("%moe_lib", config.moe_libs_dir),
    ("%examples", examples),
    ("%run_mlir", run_mlir),
]:
    # lit applies these as regular expressions: %cc must not match in %ccache.
    config.substitutions.append((name + r"\b", value))

# -- Features -----------------------------------------------------------------


def runs(*command):
    """Whether a command is there and succeeds."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def cpu_flags():
    """The CPU's flags as Linux names them."""
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("flags"):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


# What this machine can execute: x86-64-v3, x86-64-v4, x86-64-v4-bf16.
if platform.machine() in ("x86_64", "AMD64"):
    config.available_features.add("x86-64")
    flags = cpu_flags()
    v3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
    v4 = v3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    for feature, needed in [("x86-64-v3", v3), ("x86-64-v4", v4),
                            ("x86-64-v4-bf16", v4 | {"avx512_bf16"})]:
        if needed <= flags:
            config.available_features.add(feature)

# Programs that some tests need: the feature has the program's name.
for program in ("valgrind", "qemu-aarch64", "qemu-x86_64", "node", "gdb",
                "help2man", "pkg-config", "dpkg-shlibdeps", "ptxas", "spirv-as",
                "spirv-val", "spirv-cross", "nvdisasm"):
    if shutil.which(program, path=config.environment["PATH"]):
        config.available_features.add(program)

# Artifacts for AArch64 can be linked and run, and the runtime for it was built.
if ("qemu-aarch64" in config.available_features
        and shutil.which("aarch64-linux-gnu-gcc", path=config.environment["PATH"])
        and os.path.exists(os.path.join(config.moe_libs_dir, "aarch64-linux-gnu", "libmoe_rt.a"))):
    config.available_features.add("aarch64-run")

# Tools of this project that are switched off in some builds.
for tool in sorted(os.listdir(config.moe_tools_dir)
                   if os.path.isdir(config.moe_tools_dir) else []):
    if tool.startswith("moe-"):
        config.available_features.add(tool)

# Python packages: the feature is `python-NAME`.
for package in ("numpy", "safetensors", "yaml", "pip", "setuptools", "wheel"):
    if runs(config.python, "-c", "import " + package):
        config.available_features.add("python-" + package)

# PyTorch and transformers, in an environment that scripts/python-peers.sh makes.
peers = os.path.join(config.moe_build_dir, "python", "transformers")
if os.path.exists(os.path.join(peers, "requirements.txt")) and not config.sanitize_flags:
    config.available_features.add("python-transformers")
else:
    lit_config.note("test/Python/transformers is UNSUPPORTED without PyTorch and transformers; "
                    "scripts/python-peers.sh installs them and runs it")
config.substitutions.append((r"%peers_python\b", '"%s"' % os.path.join(peers, "bin", "python")))

# The exporters of JAX and PyTorch, in another.
exporters = os.path.join(config.moe_build_dir, "python", "exporters")
if os.path.exists(os.path.join(exporters, "requirements.txt")) and not config.sanitize_flags:
    config.available_features.add("python-exporters")
else:
    lit_config.note("test/Python/exporters is UNSUPPORTED without JAX, PyTorch and onnxscript; "
                    "scripts/python-peers.sh exporters installs them and runs it")
config.substitutions.append((r"%exporters_python\b", '"%s"' % os.path.join(exporters, "bin", "python")))

# LLVM is not built with the sanitizers: containers and arenas that cross the
# border look overflown, and what it never frees is no leak of ours.
if config.sanitize_flags:
    config.available_features.add("sanitized")
    config.environment.setdefault("ASAN_OPTIONS", "detect_container_overflow=0:allow_user_poisoning=0:detect_leaks=0")
    config.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    # Commands of the documentation say `cc`: it has to link the runtime, too.
    # Compiled layers are not instrumented.
    wrappers = os.path.join(config.test_exec_root, "sanitized-bin")
    os.makedirs(wrappers, exist_ok=True)
    for name, compiler in (("cc", config.host_cc), ("c++", config.host_cxx)):
        plain = shutil.which(name) or compiler
        with open(os.path.join(wrappers, name), "w") as file:
            file.write('#!/bin/sh\ncase " $* " in *" -shared "*) exec "%s" "$@" ;; esac\n'
                       'exec "%s" %s "$@"\n' % (plain, compiler, config.sanitize_flags))
        os.chmod(os.path.join(wrappers, name), 0o755)
    config.environment["PATH"] = wrappers + os.pathsep + config.environment["PATH"]

# ThreadSanitizer works with this compiler, on this kernel.
probe = os.path.join(config.test_exec_root, "tsan-probe")
os.makedirs(config.test_exec_root, exist_ok=True)
if not config.sanitize_flags and (os.path.exists(probe) or subprocess.run(
        [config.host_cc, "-fsanitize=thread", "-x", "c", "-", "-o", probe], input=b"int main(void) { return 0; }",
        stderr=subprocess.DEVNULL).returncode == 0) and runs(probe):
    config.available_features.add("tsan")
    if shutil.which("clang-22") and (shutil.which("opt-22") or shutil.which("opt", path=config.environment["PATH"])):
        config.available_features.add("tsan-layers")

# The runtime was built with Vulkan. Its devices in tests are Mesa's on the CPU
# alone, so that the same is run everywhere.
if config.has_vulkan:
    config.available_features.add("vulkan")
drivers = sorted(glob.glob("/usr/share/vulkan/icd.d/lvp_icd.*json"))
if config.has_vulkan and drivers:
    config.environment["VK_ICD_FILENAMES"] = config.environment["VK_DRIVER_FILES"] = drivers[0]
    config.available_features.add("lavapipe")

# The compiler links code for AMD's GPUs.
if config.has_lld:
    config.available_features.add("lld-libraries")

# Kernels by Halide, whose library is built where Halide is.
if os.path.exists(os.path.join(config.moe_libs_dir, "libmoe_halide.so")):
    config.available_features.add("halide")

if runs(config.host_cxx, "-fopenmp", "-x", "c++", "-E", "-", "-o", os.devnull):
    config.available_features.add("openmp")
