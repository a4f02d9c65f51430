//===- Compiler.cpp - From IR to an artifact --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What does not depend on the target runs once; then each target gets a context
// and a thread of its own.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Compiler/Compiler.h"

#include "Internal.h"
#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Lowering/CNames.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Target/LLVMCode.h"
#include "moe/E4M3Rows.h"
#include "moe/Moe.h"
#include "moek/Codegen.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InterleavedRange.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>
#include <thread>

using namespace mlir;
using namespace moe;

namespace {

/// What the steps of a compilation cost, roughly: time left is told by it.
enum StepCost : unsigned {
  kFuseCost = 10,
  kKernelCost = 30,
  kDialectCost = 30,
  kCodeCost = 40,
  kVariantCost = kKernelCost + kDialectCost + kCodeCost
};

/// Tells how much of all variants is done, from their threads.
class StepCounter {
public:
  StepCounter(const ProgressFn &progress, size_t numVariants)
      : progress(progress), total(kFuseCost + numVariants * kVariantCost) {}
  void add(unsigned cost, const Twine &next) {
    std::lock_guard<std::mutex> lock(mutex);
    done += cost;
    if (progress)
      progress(done, total, next.str());
  }

private:
  const ProgressFn &progress;
  std::mutex mutex;
  uint64_t done = 0, total;
};

std::vector<compiler::Alias> getAliases(ModuleOp module) {
  std::vector<compiler::Alias> aliases;
  auto list = module->getAttrOfType<ArrayAttr>(kAliasesAttr);
  if (!list)
    return aliases;
  for (Attribute attr : list) {
    auto entry = cast<DictionaryAttr>(attr);
    compiler::Alias alias;
    alias.name = entry.getAs<StringAttr>("name").str();
    alias.of = entry.getAs<StringAttr>("of").str();
    alias.entry = entry.getAs<StringAttr>("entry").str();
    if (auto layer = entry.getAs<IntegerAttr>("layer"))
      alias.layer = layer.getInt();
    alias.checkpoint = entry.getAs<DictionaryAttr>("checkpoint");
    aliases.push_back(std::move(alias));
  }
  return aliases;
}

/// `chip` is null for the stages that all share.
PipelineOptions getPipelineOptions(const CompileOptions &options,
                                   moek::TargetAttrInterface chip,
                                   Stage stage) {
  PipelineOptions result;
  result.target.clear();
  if (chip) {
    result.target = chip.getChipName().str();
    // One artifact may hold several targets, so their symbols differ.
    result.suffix = TargetRegistry::get().find(chip)->getCode(chip).suffix;
  }
  result.fuse = options.fuse;
  result.entryPrefix = options.entryPrefix;
  result.extensions = options.extensions;
  result.stopAfter = stage;
  return result;
}

CodeOptions getCodeOptions(const CompileOptions &options) {
  return {options.codegenLevel, options.optimizeIR,
          compiler::findAssembler(options)};
}

/// Part of `options.timing`, if anyone wants to know.
TimingScope nestTiming(const CompileOptions &options, StringRef what) {
  return options.timing ? options.timing->nest(what) : TimingScope();
}

/// Extensions name a pass of theirs that failed only where there is an
/// instrumentation.
struct Instrumented : PassInstrumentation {};

LogicalResult runPipeline(ModuleOp module, const CompileOptions &compile,
                          const PipelineOptions &options, TimingScope &timing,
                          std::optional<Stage> from, bool verify) {
  PassManager pm(module.getContext(), ModuleOp::getOperationName());
  if (compile.setUp && failed(compile.setUp(pm)))
    return failure();
  pm.addInstrumentation(std::make_unique<Instrumented>());
  pm.enableTiming(timing);
  // Each stage has verifiers of its own; checking everything after every pass
  // would double the compile time.
  pm.enableVerifier(verify);
  buildPipeline(pm, options, from);
  return pm.run(module);
}

/// The part that all targets share.
LogicalResult runCommonStages(ModuleOp module, const CompileOptions &options) {
  TimingScope timing = nestTiming(options, "all targets");
  return runPipeline(module, options,
                     getPipelineOptions(options, {}, Stage::Fused), timing,
                     std::nullopt, /*verify=*/true);
}

/// The extensions that run for any of `targets`.
std::vector<std::string> describeExtensions(const CompileOptions &options,
                                            const TargetList &targets) {
  std::vector<std::string> texts;
  for (const std::string &name : stageNames()) {
    Stage stage = *parseStage(name);
    for (moek::TargetAttrInterface target : targets)
      for (std::string &text : options.extensions.describe(getExtensionContext(
               getPipelineOptions(options, target, stage), stage)))
        if (!llvm::is_contained(texts, text))
          texts.push_back(std::move(text));
  }
  return texts;
}

LogicalResult checkEntries(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (isEntryFunction(function))
      return success();
  return module.emitError("has no entry point: a public func.func with a body");
}

/// `module` as bytecode at an address that suits the constants in it: a reader
/// checks theirs against the buffer's.
std::unique_ptr<llvm::MemoryBuffer> writeBytecode(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (failed(writeBytecodeToFile(module, os)))
    return nullptr;
  uint64_t alignment = 64;
  module.walk([&](Operation *op) {
    op->getAttrDictionary().walk([&](DenseResourceElementsAttr attr) {
      if (AsmResourceBlob *blob = attr.getRawHandle().getBlob())
        alignment = std::max<uint64_t>(alignment, blob->getDataAlignment());
    });
  });
  auto buffer = llvm::WritableMemoryBuffer::getNewUninitMemBuffer(
      text.size(), "model", llvm::Align(alignment));
  if (buffer)
    llvm::copy(text, buffer->getBufferStart());
  return buffer;
}

/// From the fused module to machine code. Runs on any thread.
bool compileVariant(llvm::MemoryBufferRef bytecode,
                    const DialectRegistry &registry,
                    const CompileOptions &options,
                    ArrayRef<std::string> externals, compiler::Variant &variant,
                    MLIRContext &context,
                    SmallVectorImpl<compiler::Message> &messages,
                    StepCounter &steps) {
  TimingScope timing = nestTiming(options, variant.target);
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    messages.push_back(compiler::capture(diagnostic));
    return success();
  });
  ParserConfig config(&context, /*verifyAfterParse=*/false);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBuffer(bytecode, false),
                             llvm::SMLoc());
  TimingScope step = timing.nest("read");
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, config);
  step.stop();
  if (!module)
    return false;
  auto chip = dyn_cast_or_null<moek::TargetAttrInterface>(
      parseAttribute(variant.chip, &context));
  if (!chip)
    return false;
  (*module)->setAttr(moek::kTargetAttrName, chip);
  PipelineOptions pipeline = getPipelineOptions(options, chip, Stage::Runtime);
  pipeline.suffix = variant.code.suffix;
  pipeline.keepLayout = variant.keepLayout;
  if (failed(runPipeline(*module, options, pipeline, timing, Stage::Fused,
                         /*verify=*/false)))
    return false;
  steps.add(kKernelCost, "llvm dialect, " + variant.target);
  variant.interfaces = (*module)->getAttrOfType<ArrayAttr>(kInterfacesAttr);
  (*module)->removeAttr(kInterfacesAttr);
  pipeline.stopAfter = Stage::LLVM;
  if (failed(runPipeline(*module, options, pipeline, timing, Stage::Runtime,
                         /*verify=*/false)))
    return false;
  steps.add(kDialectCost, "machine code, " + variant.target);
  auto fail = [&](const std::string &error) {
    messages.push_back({DiagnosticSeverity::Error,
                        UnknownLoc::get(&context),
                        variant.target + ": " + error,
                        {}});
    return false;
  };
  std::string error;
  step = timing.nest("machine code");
  if (!TargetRegistry::get().find(chip)->emit(
          *module, chip, getCodeOptions(options), CodeKind::Object,
          variant.object, error) ||
      !compiler::checkSymbols(variant.object, externals, error))
    return fail(error);
  steps.add(kCodeCost, "");
  return true;
}

} // namespace

/// Gives arguments the names that the model's author gave them, for who prints
/// the module.
static void nameArguments(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    for (BlockArgument argument : function.getArguments())
      if (auto name = function.getArgAttrOfType<StringAttr>(
              argument.getArgNumber(), kNameAttr))
        argument.setLoc(NameLoc::get(name, argument.getLoc()));
}

/// Says in the IR what `options` ask for, and checks what it says then.
static LogicalResult setAsked(ModuleOp module, const CompileOptions &options) {
  if (!options.codegen.empty())
    module->setAttr(moek::kCodegenAttrName,
                    StringAttr::get(module.getContext(), options.codegen));
  if (!options.activations.empty())
    module->setAttr(moek::kActivationsAttrName,
                    StringAttr::get(module.getContext(), options.activations));
  Attribute said = module->getAttr(moek::kActivationsAttrName);
  auto text = dyn_cast_or_null<StringAttr>(said);
  if (!said || (text && llvm::is_contained(getRowTypes(), text.getValue())))
    return success();
  return module.emitError()
         << moek::kActivationsAttrName << " is " << said << "; known are "
         << llvm::interleaved(getRowTypes());
}

/// What that comes to, as manifests have it.
static std::string getAskedActivations(ModuleOp module,
                                       const CompileOptions &options) {
  std::string kind = options.activations.empty()
                         ? moek::getActivations(module).str()
                         : options.activations;
  return kind == "f32" ? "" : kind;
}

OwningOpRef<ModuleOp> moe::compileToStage(ModuleOp module,
                                          const CompileOptions &options,
                                          moek::TargetAttrInterface chip,
                                          Stage stage) {
  OwningOpRef<ModuleOp> clone = module.clone();
  nameArguments(*clone);
  PipelineOptions pipeline = getPipelineOptions(options, chip, stage);
  if (stage >= Stage::Planned)
    (*clone)->setAttr(moek::kTargetAttrName, chip);
  TimingScope timing = nestTiming(options, chip.getChipName());
  compiler::SharedCodeErrors errors(*clone);
  if (failed(checkEntries(*clone)) || failed(setAsked(*clone, options)) ||
      failed(runPipeline(*clone, options, pipeline, timing, std::nullopt,
                         /*verify=*/true)))
    return {};
  // Those that packing made.
  nameArguments(*clone);
  return clone;
}

LogicalResult moe::compileToText(ModuleOp module, const CompileOptions &options,
                                 moek::TargetAttrInterface chip, CodeKind kind,
                                 llvm::raw_ostream &os) {
  OwningOpRef<ModuleOp> lowered =
      compileToStage(module, options, chip, Stage::LLVM);
  if (!lowered)
    return failure();
  (*lowered)->removeAttr(kInterfacesAttr);
  std::string error;
  SmallVector<char, 0> text;
  if (!TargetRegistry::get().find(chip)->emit(
          *lowered, chip, getCodeOptions(options), kind, text, error))
    return emitError(module.getLoc(), error);
  os << StringRef(text.data(), text.size());
  return success();
}

LogicalResult moe::compileToArtifact(ModuleOp module,
                                     const CompileOptions &options,
                                     StringRef outputBase) {
  MLIRContext *context = module.getContext();
  FailureOr<TargetList> targets = resolveTargets(module, options);
  if (failed(targets))
    return failure();
  FailureOr<compiler::ExternalList> declared = compiler::getExternals(module);
  if (failed(declared))
    return failure();
  if (!declared->empty() && !options.externals.empty() &&
      failed(compiler::checkExternals(*declared, options.externals)))
    return failure();
  SmallVector<std::string> externals;
  for (func::FuncOp function : *declared)
    externals.push_back(function.getName().str());
  OwningOpRef<ModuleOp> common = module.clone();
  compiler::SharedCodeErrors errors(*common);
  if (failed(checkEntries(*common)) || failed(setAsked(*common, options)) ||
      failed(runCommonStages(*common, options)) ||
      // Extensions may have taken them away.
      failed(checkEntries(*common)))
    return failure();
  compiler::ArtifactInfo info;
  info.externals = std::move(*declared);
  info.aliases = getAliases(*common);
  errors.readAliases();
  (*common)->removeAttr(kAliasesAttr);
  std::unique_ptr<llvm::MemoryBuffer> bytecode = writeBytecode(*common);
  if (!bytecode)
    return module.emitError("cannot be written as bytecode");
  StepCounter steps(options.progress, targets->size());
  steps.add(kFuseCost, "kernels");

  // A context per target: theirs are independent compilations.
  std::vector<compiler::Variant> variants(targets->size());
  std::vector<SmallVector<compiler::Message>> messages(targets->size());
  std::vector<std::unique_ptr<MLIRContext>> contexts;
  std::vector<char> succeeded(targets->size(), 0);
  DialectRegistry registry;
  context->getDialectRegistry().appendTo(registry);
  auto getCode = [](moek::TargetAttrInterface chip) {
    return TargetRegistry::get().find(chip)->getCode(chip);
  };
  // Variants for CPUs share the packed weights, and so do those for a device.
  auto keepsLayout = [&](const std::string &device) {
    moek::TargetAttrInterface first;
    return llvm::any_of(*targets, [&](moek::TargetAttrInterface chip) {
      if (getCode(chip).device != device)
        return false;
      if (!first)
        first = chip;
      return chip.getTargetName() != first.getTargetName() ||
             !TargetRegistry::get().find(chip)->sharesLayout(first, chip);
    });
  };
  // What the names of functions end in already.
  llvm::StringSet<> suffixes;
  for (StringRef ending : getCNameEndings())
    suffixes.insert(ending);
  for (auto [variant, chip] : llvm::zip_equal(variants, *targets)) {
    variant.target = chip.getChipName().str();
    llvm::raw_string_ostream(variant.chip) << chip;
    variant.code = getCode(chip);
    // Names that differ may be the same as identifiers.
    std::string stem = variant.code.suffix;
    for (int i = 2; !suffixes.insert(variant.code.suffix).second; ++i)
      variant.code.suffix = stem + "_" + std::to_string(i);
    variant.keepLayout = keepsLayout(variant.code.device);
    StringRef rows = moek::getActivations(common->getOperation());
    bool toBF16 = rows == "bf16" || rows == "auto";
    bool toE4M3 = rows == kE4M3Rows;
    bool toBytes = rows != "bf16" && rows != "f32" && !toE4M3;
    if ((toBF16 && variant.code.narrowsRows) ||
        (toE4M3 && variant.code.multipliesE4M3) ||
        (toBytes && variant.code.multipliesBytes))
      variant.activations = rows.str();
    contexts.push_back(std::make_unique<MLIRContext>(
        registry, MLIRContext::Threading::DISABLED));
    contexts.back()->allowUnregisteredDialects(
        context->allowsUnregisteredDialects());
    contexts.back()->printOpOnDiagnostic(context->shouldPrintOpOnDiagnostic());
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < variants.size(); ++i) {
    threads.emplace_back([&, i] {
      succeeded[i] =
          compileVariant(*bytecode, registry, options, externals, variants[i],
                         *contexts[i], messages[i], steps);
    });
    if (options.oneByOne)
      threads.back().join();
  }
  for (std::thread &thread : threads)
    if (thread.joinable())
      thread.join();
  // One report is enough: what fails for one target mostly fails for all.
  for (size_t i = 0; i < variants.size(); ++i)
    if (!succeeded[i]) {
      compiler::replay(messages[i], context);
      return failure();
    }
  compiler::replay(messages.front(), context);

  info.interfaces = variants.front().interfaces;
  info.variants = variants;
  info.passPipeline = options.passPipeline;
  info.extensions = describeExtensions(options, *targets);
  info.activations = getAskedActivations(module, options);
  std::string error;
  if (!compiler::compareInterfaces(variants, error))
    return module.emitError(error);

  llvm::json::Object manifest = compiler::buildManifest(info);
  manifest["id"] = manifestId(manifest);
  std::string manifestText =
      llvm::formatv("{0:2}\n", llvm::json::Value(std::move(manifest)));
  // What nobody can read is not written.
  if (!parseManifest(manifestText, "the manifest", info.manifest, error))
    return emitError(module.getLoc(), error);
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> dispatcher =
      compiler::buildDispatcher(llvmContext, info);
  SmallVector<char, 0> dispatch;
  // Runs on every CPU of the platform.
  const HostPlatform &platform = variants.front().code.platform;
  if (!emitObject(*dispatcher, {platform, platform.baseCpu, ""},
                  getCodeOptions(options), dispatch, error))
    return emitError(module.getLoc(), error);

  TimingScope timing = nestTiming(options, "files");
  std::string base = outputBase.str();
  std::string name = llvm::sys::path::filename(base).str();
  std::vector<compiler::NamedObject> objects = {{name + ".o", dispatch}};
  for (const compiler::Variant &variant : variants)
    objects.push_back({name + variant.code.suffix + ".o", variant.object});
  OutputSet outputs;
  auto write = [&](StringRef extension, StringRef bytes,
                   bool isExecutable = false) {
    return outputs.write(base + extension.str(), bytes, error, isExecutable);
  };
  auto writeFiles = [&] {
    SmallVector<char, 0> object, linked;
    if ((options.object || options.shared) &&
        !compiler::joinObjects(objects, platform, object, error))
      return false;
    if (options.object && !write(".o", {object.data(), object.size()}))
      return false;
    if (options.library) {
      auto archive = compiler::buildLibrary(objects, error);
      if (!archive || !write(".a", archive->getBuffer()))
        return false;
    }
    if (options.shared &&
        (!compiler::linkShared(object, name + ".so", platform,
                               options.runtimeDirectory, options.externals,
                               externals.empty() || !options.externals.empty(),
                               linked, error) ||
         !write(".so", {linked.data(), linked.size()}, true)))
      return false;
    return (!options.header ||
            write(".h", compiler::buildHeader(info, name))) &&
           (!options.manifest || write(".json", manifestText)) &&
           outputs.commit(error);
  };
  if (!writeFiles())
    return emitError(module.getLoc(), error);
  return success();
}

bool moe::isMadeAs(const Manifest &manifest, ModuleOp module,
                   const CompileOptions &options) {
  // Whoever compiles hears what is wrong.
  ScopedDiagnosticHandler handler(module.getContext(),
                                  [](Diagnostic &) { return success(); });
  FailureOr<TargetList> targets = resolveTargets(module, options);
  return succeeded(targets) && manifest.passPipeline == options.passPipeline &&
         manifest.extensions == describeExtensions(options, *targets) &&
         manifest.activations == getAskedActivations(module, options) &&
         llvm::equal(
             manifest.targets, *targets,
             [](const TargetDesc &desc, moek::TargetAttrInterface chip) {
               return desc.name == chip.getChipName();
             });
}

void moe::registerCompilerDialects(DialectRegistry &registry) {
  registerPipelineExtensions(registry);
}
