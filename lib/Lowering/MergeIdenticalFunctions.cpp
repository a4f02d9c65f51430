//===- MergeIdenticalFunctions.cpp - Compile equal layers once --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Finds entry functions that differ only in their name, layer number, and where
// their weights come from.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "mlir/IR/SymbolTable.h"

namespace moe {
#define GEN_PASS_DEF_MERGEIDENTICALFUNCTIONSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool isIdentity(StringRef attrName) {
  return attrName == SymbolTable::getSymbolAttrName() ||
         attrName == moe::kLayerAttr || attrName == moe::kCheckpointAttr ||
         attrName == moe::kEntryAttr;
}

/// What two functions must agree in besides their bodies.
DictionaryAttr getSignature(func::FuncOp function) {
  SmallVector<NamedAttribute> attrs;
  for (NamedAttribute attr : function->getAttrDictionary())
    if (!isIdentity(attr.getName()))
      attrs.push_back(attr);
  return DictionaryAttr::get(function.getContext(), attrs);
}

llvm::hash_code hashBody(func::FuncOp function) {
  llvm::hash_code hash = hash_value(getSignature(function));
  // Operand identity is left to the full comparison.
  function.getBody().walk([&](Operation *op) {
    hash = llvm::hash_combine(hash, op->getName(), op->getAttrDictionary(),
                              op->getNumOperands(), op->getNumResults());
    for (Type type : op->getResultTypes())
      hash = llvm::hash_combine(hash, type);
  });
  return hash;
}

bool isEquivalent(func::FuncOp lhs, func::FuncOp rhs) {
  return getSignature(lhs) == getSignature(rhs) &&
         OperationEquivalence::isRegionEquivalentTo(
             &lhs.getBody(), &rhs.getBody(),
             OperationEquivalence::Flags::IgnoreLocations);
}

struct MergeIdenticalFunctions
    : moe::impl::MergeIdenticalFunctionsPassBase<MergeIdenticalFunctions> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder builder(&getContext());
    llvm::DenseMap<size_t, SmallVector<func::FuncOp>> seen;
    SmallVector<Attribute> aliases;
    SmallVector<std::pair<func::FuncOp, func::FuncOp>> merged;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (!moe::isEntryFunction(function))
        continue;
      auto &candidates = seen[hashBody(function)];
      auto it = llvm::find_if(candidates, [&](func::FuncOp other) {
        return isEquivalent(other, function);
      });
      if (it == candidates.end())
        candidates.push_back(function);
      else
        merged.emplace_back(function, *it);
    }
    for (auto [function, original] : merged) {
      SmallVector<NamedAttribute> entry = {
          builder.getNamedAttr("name", function.getSymNameAttr()),
          builder.getNamedAttr("of", original.getSymNameAttr()),
          builder.getNamedAttr("entry", moe::getEntryName(function))};
      if (Attribute layer = function->getAttr(moe::kLayerAttr))
        entry.push_back(builder.getNamedAttr("layer", layer));
      if (Attribute checkpoint = function->getAttr(moe::kCheckpointAttr))
        entry.push_back(builder.getNamedAttr("checkpoint", checkpoint));
      aliases.push_back(builder.getDictionaryAttr(entry));
      if (failed(SymbolTable::replaceAllSymbolUses(
              function, original.getSymNameAttr(), module))) {
        function.emitOpError("has uses that cannot be redirected");
        return signalPassFailure();
      }
      function.erase();
    }
    if (!aliases.empty())
      module->setAttr(moe::kAliasesAttr, builder.getArrayAttr(aliases));
  }
};

} // namespace
