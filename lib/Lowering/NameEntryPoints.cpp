//===- NameEntryPoints.cpp - Names of entry functions in C ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// After this pass the symbol of an entry function is its name in C, and no
// other symbol of the module is in its way.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/CNames.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

namespace moe {
#define GEN_PASS_DEF_NAMEENTRYPOINTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct NameEntryPoints : moe::impl::NameEntryPointsPassBase<NameEntryPoints> {
  using NameEntryPointsPassBase::NameEntryPointsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!prefix.empty() && !moe::isCIdentifier(prefix)) {
      module.emitError() << "the prefix '" << StringRef(prefix)
                         << "' of entry functions is no beginning of a C "
                            "identifier; use letters, digits and '_'";
      return signalPassFailure();
    }
    struct Entry {
      func::FuncOp function;
      std::string name;
    };
    SmallVector<Entry> entries;
    // Every name that C or the lowering makes of an entry's.
    llvm::StringMap<func::FuncOp> taken;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (!moe::isEntryFunction(function))
        continue;
      entries.push_back({function, moe::getCName(function.getName(), prefix)});
      for (StringRef ending : moe::getCNameEndings()) {
        std::string full = entries.back().name + ending.str();
        auto [it, isNew] = taken.try_emplace(full, function);
        if (isNew)
          continue;
        InFlightDiagnostic diagnostic =
            function.emitOpError()
            << "declares '" << full << "' in C, as the entry function '"
            << it->second.getName() << "' does; rename one of them";
        diagnostic.attachNote(it->second.getLoc()) << "the other one";
        return signalPassFailure();
      }
    }
    for (Entry &entry : entries)
      for (StringRef ending : {"__body", "__workspace"})
        taken.try_emplace(entry.name + ending.str(), entry.function);

    SymbolTable symbols(module);
    unsigned counter = 0;
    auto unique = [&](StringRef stem) {
      std::string name;
      do
        name = (stem + Twine(counter++)).str();
      while (taken.count(name) || symbols.lookup(name));
      return name;
    };
    auto rename = [&](Operation *op, StringRef name) {
      if (succeeded(symbols.rename(op, name)))
        return true;
      op->emitOpError() << "has uses in which it cannot be renamed to '" << name
                        << "'";
      signalPassFailure();
      return false;
    };
    // Those that no one outside sees. What is only declared is called by its
    // name.
    for (Operation &op : llvm::make_early_inc_range(*module.getBody())) {
      auto symbol = dyn_cast<SymbolOpInterface>(op);
      auto function = dyn_cast<func::FuncOp>(op);
      if (!symbol || symbol.isDeclaration() ||
          (function && moe::isEntryFunction(function)))
        continue;
      StringRef name = symbol.getName();
      if ((taken.count(name) || moe::isReservedFunction(name)) &&
          !rename(&op, unique("moe_local_")))
        return;
    }
    // By way of names that nobody has: a new name may be another's old one.
    for (Entry &entry : entries) {
      StringAttr name = entry.function.getSymNameAttr();
      if (name.getValue() == entry.name)
        continue;
      entry.function->setAttr(moe::kEntryAttr, name);
      if (!rename(entry.function, unique("moe_entry_")))
        return;
    }
    for (Entry &entry : entries)
      if (entry.function.getName() != entry.name &&
          !rename(entry.function, entry.name))
        return;
  }
};

} // namespace
