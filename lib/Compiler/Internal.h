//===- Internal.h - Between the parts of the compiler -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The steps from an LLVM module to files.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_COMPILER_INTERNAL_H
#define MOE_LIB_COMPILER_INTERNAL_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Compiler/Toolchain.h"
#include "moe-mlir/Target/Target.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>

namespace moe::compiler {

/// A target's share of an artifact.
struct Variant {
  /// The name of its chip, and its attribute as text: each variant has a context
  /// of its own.
  std::string target, chip;
  ChipCode code;
  /// Whether other variants read packed weights in another way.
  bool keepLayout = false;
  /// How kernels round rows that they multiply with codes; empty: not at all.
  std::string activations;
  llvm::SmallVector<char, 0> object;
  /// Workspace figures by entry: what `moe.interfaces` says of this variant.
  mlir::ArrayAttr interfaces;
  /// The first of the variants that read packed weights as it does.
  const Variant *layout = nullptr;

  bool isDevice() const { return !code.device.empty(); }
  /// Whether it is the first with a layout that is not the artifact's first.
  bool beginsLayout(const Variant &first) const {
    return layout == this && this != &first;
  }
};

/// An entry of the artifact: one interface, and the names that share it.
struct Alias {
  std::string name, of;
  /// Its name in the model.
  std::string entry;
  std::optional<int64_t> layer;
  mlir::DictionaryAttr checkpoint;
};

/// Declarations of C functions that experts call.
using ExternalList = llvm::SmallVector<mlir::func::FuncOp>;

/// Everything the header and the manifest tell.
struct ArtifactInfo {
  /// `moe.interfaces` of the first variant; the context owns it.
  mlir::ArrayAttr interfaces;
  std::vector<Alias> aliases;
  /// CPUs before devices.
  llvm::ArrayRef<Variant> variants;
  ExternalList externals;
  /// As --pass-pipeline takes them, and as --pipeline-extension does.
  std::string passPipeline;
  std::vector<std::string> extensions;
  /// As Manifest has it.
  std::string activations;
  /// What readers will make of all this, with the id of the artifact.
  Manifest manifest;

  llvm::ArrayRef<Variant> hosts() const {
    return variants.take_until(
        [](const Variant &variant) { return variant.isDevice(); });
  }
  llvm::ArrayRef<Variant> devices() const {
    return variants.drop_front(hosts().size());
  }
};

// Interfaces.cpp

/// Finds out which variants share layouts. What else has to be the same of all,
/// and is not, is an error.
bool compareInterfaces(llvm::MutableArrayRef<Variant> variants,
                       std::string &error);

// Kernels.cpp

/// The path of the assembler that `options` ask for; empty if it is none.
std::string findAssembler(const CompileOptions &options);

// Messages.cpp

/// A diagnostic that leaves its context, which outlives it.
struct Message {
  mlir::DiagnosticSeverity severity;
  mlir::Location location;
  std::string text;
  std::vector<Message> notes;
};

Message capture(mlir::Diagnostic &diagnostic);
/// Repeats `messages` in another context.
void replay(llvm::ArrayRef<Message> messages, mlir::MLIRContext *context);

/// As long as it lives, errors in functions of `module` name those that were
/// merged with them. To be made before passes run.
class SharedCodeErrors {
public:
  explicit SharedCodeErrors(mlir::ModuleOp module);
  SharedCodeErrors(const SharedCodeErrors &) = delete;
  ~SharedCodeErrors();

  /// Before the module loses its `moe.aliases`.
  void readAliases();

private:
  /// A file, a line and a column.
  using Place = std::tuple<std::string, unsigned, unsigned>;

  /// The first of a location.
  static std::optional<Place> findPlace(mlir::Location location);
  std::string describe(mlir::Location location);

  mlir::ModuleOp module;
  mlir::DiagnosticEngine &engine;
  mlir::DiagnosticEngine::HandlerID handler;
  mlir::ArrayAttr aliases;
  /// The names of entry functions in the model, by places in their files.
  std::map<Place, mlir::StringAttr> functions;
};

// Symbols.cpp

/// Whether an object of one target needs only what an artifact may need, and
/// `externals`.
bool checkSymbols(llvm::ArrayRef<char> object,
                  llvm::ArrayRef<std::string> externals, std::string &error);

// Externals.cpp

/// Those of `module`; a name that C has is an error.
mlir::FailureOr<ExternalList> getExternals(mlir::ModuleOp module);
/// An error at the first of `externals`, which are some, that `files` have not.
mlir::LogicalResult checkExternals(llvm::ArrayRef<mlir::func::FuncOp> externals,
                                   llvm::ArrayRef<std::string> files);
/// Their prototypes.
void declareExternals(llvm::raw_ostream &os,
                      llvm::ArrayRef<mlir::func::FuncOp> externals);

// Dispatch.cpp

/// The functions of the artifact, for any CPU of the platform: each calls
/// its variant.
std::unique_ptr<llvm::Module> buildDispatcher(llvm::LLVMContext &context,
                                              const ArtifactInfo &info);

// PackPlans.cpp

/// Adds an array with the plan of each packed argument of `function`, if it has
/// any, under `<symbol>__plans`, and one for each further layout.
void addPackPlans(llvm::Module &module, const FunctionDesc &function);

// HeaderComments.cpp

/// Text of a model within a comment.
std::string comment(llvm::StringRef text);
/// A line on an argument or a result, which is `id` in C, and those on what
/// packed weights are made of.
void describeTensor(llvm::raw_ostream &os, mlir::DictionaryAttr value,
                    llvm::StringRef id, bool isResult);
/// What entry number `index` takes, by target and `sizes`.
void describeWorkspace(llvm::raw_ostream &os, const ArtifactInfo &info,
                       size_t index, llvm::ArrayRef<std::string> sizes);

// Header.cpp, Manifest.cpp
/// What an element of a tensor is in C; void if that is nothing.
llvm::StringRef getCType(llvm::StringRef dtype);
std::string buildHeader(const ArtifactInfo &info, llvm::StringRef baseName);
/// Without an id.
llvm::json::Object buildManifest(const ArtifactInfo &info);

// Link.cpp
struct NamedObject {
  std::string name;
  llvm::ArrayRef<char> bytes;
};
/// One relocatable object of several.
bool joinObjects(llvm::ArrayRef<NamedObject> objects,
                 const HostPlatform &platform,
                 llvm::SmallVectorImpl<char> &joined, std::string &error);
std::unique_ptr<llvm::MemoryBuffer>
buildLibrary(llvm::ArrayRef<NamedObject> objects, std::string &error);
/// Without `isClosed`, whoever loads it may have symbols that it needs.
bool linkShared(llvm::ArrayRef<char> object, llvm::StringRef name,
                const HostPlatform &platform,
                llvm::StringRef runtimeDirectory,
                llvm::ArrayRef<std::string> externalFiles, bool isClosed,
                llvm::SmallVectorImpl<char> &linked, std::string &error);

} // namespace moe::compiler

#endif // MOE_LIB_COMPILER_INTERNAL_H
