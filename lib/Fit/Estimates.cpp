//===- Estimates.cpp - Bytes and times of a layer -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Estimates.h"

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Target/Cost.h"

#include "mlir/IR/SymbolTable.h"

using namespace mlir;
using namespace moe;
using namespace moe::fit;

/// The module with one of its entry functions and what that may call.
static OwningOpRef<ModuleOp> isolate(ModuleOp module, func::FuncOp function) {
  OwningOpRef<ModuleOp> own = module.clone();
  for (auto other : llvm::make_early_inc_range(own->getOps<func::FuncOp>()))
    if (other.getSymName() != function.getSymName() && isEntryFunction(other) &&
        SymbolTable::symbolKnownUseEmpty(other, *own))
      other.erase();
  return own;
}

void Estimate::add(const Estimate &other) {
  bytes += other.bytes;
  seconds = seconds < 0 || other.seconds < 0 ? -1 : seconds + other.seconds;
}

const std::string &Estimator::getText(func::FuncOp function) {
  std::string &text = texts[function];
  if (!text.empty())
    return text;
  OwningOpRef<func::FuncOp> nameless = function.clone();
  for (StringRef name : {kLayerAttr, kEntryAttr, kCheckpointAttr})
    (*nameless)->removeAttr(name);
  nameless->setSymName("layer");
  llvm::raw_string_ostream os(text);
  nameless->print(os, OpPrintingFlags().useLocalScope());
  return text;
}

int Estimator::getThreads() const {
  return getCallThreads(chip, options.threads);
}

const Estimate *Estimator::get(func::FuncOp function, const Formats &formats,
                               std::string &error) {
  std::string key = getText(function);
  llvm::raw_string_ostream os(key);
  for (const auto &[number, format] : formats)
    os << number << " " << format << "\n";
  auto it = known.find(key);
  if (it == known.end()) {
    std::optional<Estimate> estimate = compile(function, formats, error);
    if (!estimate)
      return nullptr;
    it = known.emplace(std::move(key), *estimate).first;
  }
  return &it->second;
}

std::optional<Estimate> Estimator::compile(func::FuncOp function,
                                           const Formats &formats,
                                           std::string &error) {
  OwningOpRef<ModuleOp> own = isolate(module, function);
  auto layer = own->lookupSymbol<func::FuncOp>(function.getSymName());
  for (const auto &[number, format] : formats)
    layer.setArgAttr(number, kFormatAttr, format);
  CompileOptions compile = options.compile;
  // Who looks on sees what is compiled, not what is tried.
  compile.setUp = {};
  compile.timing = nullptr;
  ScopedDiagnosticHandler handler(
      module.getContext(), [&](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == DiagnosticSeverity::Error &&
            error.empty())
          error = diagnostic.str();
        return success();
      });
  OwningOpRef<ModuleOp> planned =
      compileToStage(*own, compile, chip, Stage::Planned);
  if (!planned)
    return std::nullopt;
  Estimate estimate;
  for (auto each : planned->getOps<func::FuncOp>()) {
    if (!isEntryFunction(each))
      continue;
    for (Type type : each.getArgumentTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type);
          tensor && tensor.hasStaticShape() &&
          tensor.getElementType().isIntOrFloat())
        estimate.bytes += tensor.getNumElements() *
                          llvm::divideCeil(tensor.getElementTypeBitWidth(), 8);
    estimate.seconds =
        estimateCall(each, chip, getAllSizes(each, options.tokens),
                     getThreads())
            .seconds();
  }
  return estimate;
}
