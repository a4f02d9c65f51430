//===- CTarget.cpp - Portable C as a target ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is no kernel goes through the shared stages and MLIR's own conversions.
// Nothing is planned: kernels are loops without choices, and read weights in
// the order they have before a target says otherwise.
//
//===----------------------------------------------------------------------===//

#include "AcmeC.h"

#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

using namespace mlir;
using namespace acmec;

#include "AcmeCDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "AcmeCAttrs.cpp.inc"

void AcmeCDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "AcmeCAttrs.cpp.inc"
      >();
}

StringRef TargetAttr::getTargetName() const { return "c"; }

StringRef TargetAttr::getChipName() const { return getName(); }

/// Those with a name; -O0 for who reads the code in a debugger.
static constexpr struct {
  StringLiteral name, flags, summary;
} kChips[] = {{"portable-c-debug", "-O0 -g", "C99, one statement at a time"},
              {"portable-c", "-O2", "C99, by the compiler of this machine"}};

/// Runs the C compiler on `source`.
static bool compile(TargetAttr chip, StringRef source,
                    SmallVectorImpl<char> &object, std::string &error) {
  llvm::ErrorOr<std::string> program =
      llvm::sys::findProgramByName(chip.getCompiler());
  if (!program) {
    error = ("no C compiler '" + chip.getCompiler() + "' in PATH").str();
    return false;
  }
  SmallString<128> files[3];
  StringRef suffixes[] = {"c", "o", "log"};
  SmallVector<llvm::FileRemover, 3> removers(3);
  for (auto [file, suffix, remover] : llvm::zip(files, suffixes, removers)) {
    if (std::error_code code =
            llvm::sys::fs::createTemporaryFile("acme-c", suffix, file)) {
      error = "no temporary file: " + code.message();
      return false;
    }
    remover.setFile(file);
  }
  std::error_code code;
  llvm::raw_fd_ostream os(files[0], code);
  os << source;
  os.close();
  if (os.has_error()) {
    error = ("cannot write " + files[0] + ": " + os.error().message()).str();
    os.clear_error();
    return false;
  }
  // All chips give the same bits: no products that are part of a sum.
  SmallVector<StringRef> arguments = {*program, "-std=c99", "-fPIC",
                                      "-ffp-contract=off"};
  chip.getFlags().split(arguments, ' ', -1, /*KeepEmpty=*/false);
  arguments.append({"-c", files[0], "-o", files[1]});
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(files[2]),
                                          StringRef(files[2])};
  if (llvm::sys::ExecuteAndWait(*program, arguments, std::nullopt, redirects)) {
    auto log = llvm::MemoryBuffer::getFile(files[2]);
    error = (chip.getCompiler() + " failed: ").str() +
            (log ? (*log)->getBuffer().rtrim().str() : "it says nothing");
    return false;
  }
  auto bytes = llvm::MemoryBuffer::getFile(files[1]);
  if (!bytes) {
    error =
        ("cannot read " + files[1] + ": " + bytes.getError().message()).str();
    return false;
  }
  llvm::append_range(object, (*bytes)->getBuffer());
  return true;
}

namespace {
class CTarget : public moe::Target {
public:
  StringRef getName() const override { return "c"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<AcmeCDialect>();
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    registry
        .insert<affine::AffineDialect, AcmeCDialect, arith::ArithDialect,
                cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                math::MathDialect, memref::MemRefDialect, moert::MoeRtDialect,
                scf::SCFDialect, vector::VectorDialect>();
  }

  //===--------------------------------------------------------------------===//
  // Chips
  //===--------------------------------------------------------------------===//

  std::vector<moe::ChipInfo> getChips() const override {
    std::vector<moe::ChipInfo> chips;
    for (const auto &chip : kChips)
      chips.push_back({chip.name.str(), chip.summary.str(),
                       /*isNative=*/false, /*isDefault=*/false});
    return chips;
  }

  moek::TargetAttrInterface getChip(MLIRContext *context,
                                    StringRef name) const override {
    context->getOrLoadDialect<AcmeCDialect>();
    for (const auto &chip : kChips)
      if (chip.name == name)
        return TargetAttr::get(context, name, "cc", chip.flags);
    return {};
  }

  moek::TargetAttrInterface parseChip(MLIRContext *context,
                                      const llvm::json::Object &chip,
                                      std::string &error) const override {
    context->getOrLoadDialect<AcmeCDialect>();
    StringRef compiler = "cc", flags, name;
    for (const auto &[key, value] : chip) {
      StringRef *field = llvm::StringSwitch<StringRef *>(StringRef(key))
                             .Case("name", &name)
                             .Case("compiler", &compiler)
                             .Case("flags", &flags)
                             .Default(nullptr);
      std::optional<StringRef> text = value.getAsString();
      if (!field || !text) {
        error = ("key '" + StringRef(key) +
                 "': expected the strings name, "
                 "compiler and flags")
                    .str();
        return {};
      }
      *field = *text;
    }
    if (name.empty()) {
      error = "key 'name' is missing";
      return {};
    }
    return TargetAttr::get(context, name, compiler, flags);
  }

  llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const override {
    auto c = cast<TargetAttr>(chip);
    return llvm::json::Object{{"name", c.getName()},
                              {"compiler", c.getCompiler()},
                              {"flags", c.getFlags()}};
  }

  moe::ChipCode getCode(moek::TargetAttrInterface chip) const override {
    moe::ChipCode code;
    code.platform = moe::getHostPlatform();
    code.suffix = "__";
    for (char c : chip.getChipName())
      code.suffix += llvm::isAlnum(c) ? c : '_';
    return code;
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  void buildPlanPipeline(OpPassManager &, moek::TargetAttrInterface,
                         const moe::PlanOptions &) const override {}

  void buildKernelPipeline(OpPassManager &pm,
                           moek::TargetAttrInterface) const override {
    pm.addNestedPass<func::FuncOp>(createForallToParallelLoopPass());
    pm.addPass(createConvertLinalgToLoopsPass());
    pm.addPass(moe::createExpandCopiesPass());
    pm.addPass(createLowerKernels());
    pm.addPass(createScalarizeVectors());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

  void buildCodePipeline(OpPassManager &pm,
                         moek::TargetAttrInterface) const override {
    pm.addPass(moe::createExpandReshapesPass());
    pm.addPass(memref::createExpandStridedMetadataPass());
    pm.addPass(createLowerAffinePass());
    pm.addPass(createSCFToControlFlowPass());
    pm.addPass(moe::createLowerChecksPass());
    pm.addPass(moe::createExpandSmallFloatsPass());
    pm.addPass(createExpandProducts());
    pm.addPass(arith::createArithExpandOpsPass());
    // libm has no such function.
    pm.addPass(math::createMathExpandOpsPass({{"rsqrt"}}));
    // Functions of C before instructions of LLVM.
    pm.addPass(createConvertMathToLibmPass());
    pm.addPass(createConvertMathToLLVMPass());
    pm.addPass(createFinalizeMemRefToLLVMConversionPass());
    pm.addPass(createConvertIndexToLLVMPass());
    pm.addPass(createArithToLLVMConversionPass());
    pm.addPass(createConvertControlFlowToLLVMPass());
    pm.addPass(createUBToLLVMConversionPass());
    pm.addPass(createConvertFuncToLLVMPass());
    pm.addPass(createReconcileUnrealizedCastsPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

  bool emit(ModuleOp module, moek::TargetAttrInterface chip,
            const moe::CodeOptions &, moe::CodeKind kind,
            SmallVectorImpl<char> &output, std::string &error) const override {
    if (kind == moe::CodeKind::LLVMIR) {
      error = "the target c makes no LLVM IR; --emit=asm gives its C";
      return false;
    }
    std::string source;
    llvm::raw_string_ostream os(source);
    if (failed(printC(module, os, error)))
      return false;
    if (kind == moe::CodeKind::Object)
      return compile(cast<TargetAttr>(chip), source, output, error);
    llvm::append_range(output, source);
    return true;
  }
};
} // namespace

std::unique_ptr<moe::Target> acmec::createTarget() {
  return std::make_unique<CTarget>();
}
