//===- Halide.cpp - Halide as a code generator ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// libmoe_halide is loaded when a kernel is first asked of it: tools that do not
// need it start without its 160 MB. Its names stay its own, as it brings
// another LLVM.
//
//===----------------------------------------------------------------------===//

#include "Halide.h"

#include "moe-mlir/Halide/KernelEmitter.h"
#include "moe-mlir/Support/Program.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <dlfcn.h>

using namespace moe;
using namespace llvm;

//===----------------------------------------------------------------------===//
// The library
//===----------------------------------------------------------------------===//

namespace {
struct HalideLibrary {
  moe_halide_emit_function emit = nullptr;
  moe_halide_obstacle_function obstacle = nullptr;
  /// Why it is not there.
  std::string absence;
};
} // namespace

/// In the build tree or installed beside the program, unless MOE_HALIDE_LIBRARY
/// says where.
static std::string findLibrary() {
  if (std::optional<std::string> path =
          sys::Process::GetEnv("MOE_HALIDE_LIBRARY"))
    return *path;
  static int anchor;
  std::string program = sys::fs::getMainExecutable(nullptr, &anchor);
  StringRef folder = sys::path::parent_path(program);
  for (int up = 0; up < 4 && !folder.empty(); ++up) {
    folder = sys::path::parent_path(folder);
    for (StringRef libraries : {"lib", "lib64"}) {
      SmallString<128> candidate(folder);
      sys::path::append(candidate, libraries, "libmoe_halide.so");
      if (sys::fs::exists(candidate))
        return candidate.str().str();
    }
  }
  return {};
}

static HalideLibrary loadLibrary() {
  HalideLibrary library;
  std::string path = findLibrary();
  if (path.empty()) {
    library.absence = "this build has no Halide: run scripts/install-halide.sh "
                      "and build again";
    return library;
  }
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    library.absence = std::string("Halide does not load: ") + dlerror();
    return library;
  }
  library.emit = reinterpret_cast<moe_halide_emit_function>(
      dlsym(handle, "moe_halide_emit"));
  library.obstacle = reinterpret_cast<moe_halide_obstacle_function>(
      dlsym(handle, "moe_halide_obstacle"));
  if (!library.emit || !library.obstacle)
    library.absence = path + " is of another version";
  return library;
}

static const HalideLibrary &getLibrary() {
  static HalideLibrary library = loadLibrary();
  return library;
}

//===----------------------------------------------------------------------===//
// The generators
//===----------------------------------------------------------------------===//

/// The target in Halide's words.
static std::string getTargetText(const GeneratorTarget &target,
                                 bool multipliesPairs) {
  if (Triple(target.cpu.platform.triple).getArch() == Triple::aarch64)
    return "arm-64-linux";
  std::string text = "x86-64-linux-sse41-avx-avx2-f16c-fma";
  if (target.lanes >= 16)
    text += "-avx512-avx512_skylake";
  // The least of its CPUs with such products.
  return multipliesPairs ? text + "-avx512_cannonlake-avx512_zen4" : text;
}

static bool multipliesPairs(const GeneratedFunction &function) {
  return StringRef(function.program).starts_with("tile dot_bf16");
}

namespace {
class HalideGenerator : public CodeGenerator {
public:
  HalideGenerator(StringRef name, bool strict, bool own)
      : name(name), strict(strict), own(own) {}

  StringRef getName() const override { return name; }
  std::string getAbsence() const override { return getLibrary().absence; }
  bool isStrict() const override { return strict; }

  std::string getObstacle(const std::string &program) const override {
    return getLibrary().obstacle(program.c_str());
  }

  bool generate(ArrayRef<GeneratedFunction> functions,
                const GeneratorTarget &target, Module &module,
                std::string &error) const override {
    error = getLibrary().absence;
    if (!error.empty())
      return false;
    // Products of pairs are made for another CPU, which is one of a file.
    SmallVector<GeneratedFunction> pairs, others;
    for (const GeneratedFunction &function : functions)
      (multipliesPairs(function) ? pairs : others).push_back(function);
    for (ArrayRef<GeneratedFunction> group :
         {ArrayRef(pairs), ArrayRef(others)})
      if (!group.empty() && !generateGroup(group, target, module, error))
        return false;
    return true;
  }

private:
  StringRef name;
  bool strict, own;

  bool generateGroup(ArrayRef<GeneratedFunction> functions,
                     const GeneratorTarget &target, Module &module,
                     std::string &error) const {
    SmallVector<moe_halide_kernel> kernels;
    for (const GeneratedFunction &function : functions)
      kernels.push_back({function.name.c_str(), function.program.c_str()});
    TemporaryFile file;
    if (!file.create("moe-halide", own ? "s" : "bc", error))
      return false;
    char message[512] = "";
    std::string path = file.getPath().str();
    if (getLibrary().emit(
            kernels.data(), kernels.size(),
            getTargetText(target, multipliesPairs(functions.front())).c_str(),
            own ? MOE_HALIDE_ASSEMBLY : MOE_HALIDE_BITCODE, path.c_str(),
            message, sizeof(message))) {
      error = message;
      return false;
    }
    SmallVector<char, 0> bytes;
    if (!file.read(bytes, error))
      return false;
    StringRef text(bytes.data(), bytes.size());
    return own ? addAssembly(module, functions, text)
               : linkBitcode(module, functions, target.cpu, text, error);
  }

  /// Assembly of Halide's LLVM, without what is for debuggers and linkers, and
  /// with local labels that are not those of this LLVM, which would silently be
  /// one.
  static bool addAssembly(Module &module, ArrayRef<GeneratedFunction> functions,
                          StringRef text) {
    std::string kept;
    for (StringRef rest = text; !rest.empty();) {
      auto [line, next] = rest.split('\n');
      rest = next;
      StringRef word = line.trim();
      if (word.starts_with(".file") || word.starts_with(".ident") ||
          word.starts_with(".addrsig"))
        continue;
      for (size_t label; (label = line.find(".L")) != StringRef::npos;) {
        kept += (line.take_front(label) + ".L" + functions.front().name).str();
        line = line.drop_front(label + 2);
      }
      kept += line.str() + "\n";
    }
    // Symbols of the artifact's own.
    for (const GeneratedFunction &function : functions)
      for (StringRef suffix : {"", "_argv", "_metadata"})
        kept += ".hidden " + function.name + suffix.str() + "\n";
    module.appendModuleInlineAsm(kept + ".text\n");
    for (const GeneratedFunction &function : functions)
      if (Function *declared = module.getFunction(function.name))
        declared->setVisibility(GlobalValue::HiddenVisibility);
    return true;
  }

  static bool linkBitcode(Module &module, ArrayRef<GeneratedFunction> functions,
                          const LLVMCpu &cpu, StringRef bytes,
                          std::string &error) {
    Expected<std::unique_ptr<Module>> parsed =
        parseBitcodeFile(MemoryBufferRef(bytes, "halide"), module.getContext());
    if (!parsed) {
      error = toString(parsed.takeError());
      return false;
    }
    Module &made = **parsed;
    made.setDataLayout(module.getDataLayout());
    made.setTargetTriple(module.getTargetTriple());
    // What it says of PIC and frames is between Halide and its own LLVM.
    if (NamedMDNode *flags = made.getModuleFlagsMetadata())
      made.eraseNamedMetadata(flags);
    for (const GeneratedFunction &function : functions) {
      for (StringRef suffix : {"_argv", "_metadata"})
        if (Function *extra = made.getFunction(function.name + suffix.str()))
          extra->eraseFromParent();
      Function *body = made.getFunction(function.name);
      if (!body) {
        error = "made no function " + function.name;
        return false;
      }
      AttributeList none;
      body->setAttributes(none);
      body->addFnAttr(Attribute::NoUnwind);
      body->addFnAttr("target-cpu", cpu.cpu);
      if (!cpu.features.empty())
        body->addFnAttr("target-features", cpu.features);
      body->addFnAttr(Attribute::AlwaysInline);
      if (StringRef(function.program).starts_with("tile"))
        finishTile(*body, function);
    }
    if (Linker::linkModules(module, std::move(*parsed))) {
      error = "what it made does not link";
      return false;
    }
    for (const GeneratedFunction &function : functions) {
      Function *body = module.getFunction(function.name);
      body->setLinkage(GlobalValue::InternalLinkage);
      // Bodies are called for a few columns at a time.
      if (!StringRef(function.program).starts_with("tile"))
        for (User *user : body->users())
          if (auto *call = dyn_cast<CallBase>(user))
            call->getFunction()->addFnAttr(Attribute::AlwaysInline);
    }
    return true;
  }
};
} // namespace

ArrayRef<const CodeGenerator *> moe::getHalideGenerators() {
  static const HalideGenerator lenient("halide", false, false);
  static const HalideGenerator strict("halide-only", true, false);
  static const HalideGenerator own("halide-object", true, true);
  static const CodeGenerator *const generators[] = {&lenient, &strict, &own};
  return generators;
}
