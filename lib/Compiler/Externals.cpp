//===- Externals.cpp - C functions that artifacts call -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which there are, who has them, and how a header declares them.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Lowering/CNames.h"
#include "moe/Moe.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace mlir;

FailureOr<compiler::ExternalList> compiler::getExternals(ModuleOp module) {
  ExternalList externals;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!getExternal(function))
      continue;
    if (isReservedFunction(function.getName()))
      return function.emitError("'")
             << function.getName()
             << "' is a name of C or of its library; take another";
    externals.push_back(function);
  }
  return externals;
}

/// Adds what `object` defines.
static llvm::Error addSymbols(const llvm::object::ObjectFile &object,
                              llvm::StringSet<> &names) {
  auto add = [&](auto &&symbols) -> llvm::Error {
    for (const llvm::object::SymbolRef &symbol : symbols) {
      llvm::Expected<uint32_t> flags = symbol.getFlags();
      llvm::Expected<StringRef> name = symbol.getName();
      if (!flags || !name)
        return llvm::joinErrors(flags.takeError(), name.takeError());
      if ((*flags & llvm::object::SymbolRef::SF_Global) &&
          !(*flags & llvm::object::SymbolRef::SF_Undefined))
        names.insert(*name);
    }
    return llvm::Error::success();
  };
  // Of a shared library the others may have been stripped.
  if (auto *elf = dyn_cast<llvm::object::ELFObjectFileBase>(&object))
    if (llvm::Error error = add(elf->getDynamicSymbolIterators()))
      return error;
  return add(object.symbols());
}

static llvm::Error addSymbols(StringRef file, llvm::StringSet<> &names) {
  llvm::Expected<llvm::object::OwningBinary<llvm::object::Binary>> binary =
      llvm::object::createBinary(file);
  if (!binary)
    return binary.takeError();
  if (auto *object =
          dyn_cast<llvm::object::ObjectFile>(binary->getBinary()))
    return addSymbols(*object, names);
  if (auto *archive = dyn_cast<llvm::object::Archive>(binary->getBinary())) {
    for (const llvm::object::Archive::Symbol &symbol : archive->symbols())
      names.insert(symbol.getName());
    return llvm::Error::success();
  }
  return llvm::createStringError(std::errc::invalid_argument,
                                 "no object, archive or shared library");
}

LogicalResult compiler::checkExternals(ArrayRef<func::FuncOp> externals,
                                       ArrayRef<std::string> files) {
  llvm::StringSet<> names;
  for (const std::string &file : files)
    if (llvm::Error error = addSymbols(file, names))
      return mlir::emitError(externals.front()->getLoc(), "--external=")
             << file << ": " << llvm::toString(std::move(error));
  for (func::FuncOp function : externals)
    if (!names.contains(function.getName()))
      return function.emitError("'")
             << function.getName() << "' is in none of the files that "
             << "--external names";
  return success();
}

void compiler::declareExternals(llvm::raw_ostream &os,
                                ArrayRef<func::FuncOp> externals) {
  if (externals.empty())
    return;
  os << "\n/* C functions that experts call, which your program has. `expert` is "
        "the\n * number of the expert in its layer; `rows`, at least 1, may be "
        "fewer than it has.\n * Called from any threads, several times at once. "
        "Return 0, or something else if\n * that failed. */\n";
  for (func::FuncOp function : externals) {
    os << "int " << function.getName()
       << "(const moe_rt *rt, int64_t expert, int64_t rows";
    auto add = [&](Type type, const Twine &name, bool isResult) {
      auto tensor = cast<RankedTensorType>(type);
      std::string dtype;
      llvm::raw_string_ostream(dtype) << tensor.getElementType();
      os << ",\n    " << (isResult ? "" : "const ") << getCType(dtype) << " *"
         << name << " /* [";
      for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
        os << (i ? ", " : "");
        if (ShapedType::isDynamic(size))
          os << "rows";
        else
          os << size;
      }
      os << "] " << dtype << " */";
    };
    unsigned rows = 0, weights = 0;
    for (Type type : function.getArgumentTypes()) {
      if (isExternalRows(type))
        add(type, "x" + Twine(rows++), /*isResult=*/false);
      else
        add(type, "w" + Twine(weights++), /*isResult=*/false);
    }
    add(function.getResultTypes().front(), "y", /*isResult=*/true);
    os << ");\n";
  }
}
