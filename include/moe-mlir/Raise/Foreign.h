//===- Foreign.h - Ops of dialects that are not linked -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What exporters write are ops of dialects that we do not link: generic text
// with unregistered ops. A dialect is a table from names of ops to functions
// that say the same with upstream's ops. A further one is a file with a table.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_FOREIGN_H
#define MOE_MLIR_RAISE_FOREIGN_H

#include "moe-mlir/Raise/Upstream.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

namespace moe::raise {

class ForeignTable;

/// The ops of a block but the last, which no dialect here knows to be a
/// terminator.
inline llvm::iterator_range<mlir::Block::iterator>
getBodyOps(mlir::Block &block) {
  if (block.empty())
    return {block.begin(), block.end()};
  return {block.begin(), std::prev(block.end())};
}

/// An op of a foreign dialect, whose operands are upstream's values by then.
class ForeignOp {
public:
  ForeignOp(mlir::Operation *op, Upstream &upstream, const ForeignTable &table)
      : op(op), upstream(upstream), table(table) {}

  mlir::Operation *getOperation() const { return op; }
  mlir::Location getLoc() const { return op->getLoc(); }
  mlir::ValueRange getOperands() const { return op->getOperands(); }
  mlir::Value getOperand(unsigned i) const { return op->getOperand(i); }
  unsigned getNumOperands() const { return op->getNumOperands(); }
  /// The ranked tensor type that result `i` has in the text; null if it has
  /// another.
  mlir::RankedTensorType getResultType(unsigned i = 0) const {
    return llvm::dyn_cast<mlir::RankedTensorType>(op->getResult(i).getType());
  }
  /// The element type of result `i`.
  mlir::Type getElementType(unsigned i = 0) const {
    return mlir::getElementTypeOrSelf(op->getResult(i).getType());
  }

  //===--------------------------------------------------------------------===//
  // Attributes, those of properties included
  //===--------------------------------------------------------------------===//

  mlir::Attribute getAttr(llvm::StringRef name) const {
    return op->getAttr(name);
  }
  /// An integer or boolean; nothing if the attribute is none.
  std::optional<int64_t> getInt(llvm::StringRef name) const;
  int64_t getInt(llvm::StringRef name, int64_t otherwise) const {
    return getInt(name).value_or(otherwise);
  }
  std::optional<double> getFloat(llvm::StringRef name) const;
  /// A string; empty if the attribute is none.
  llvm::StringRef getString(llvm::StringRef name) const;
  /// A dense array, array of integers or dense constant; nothing if the
  /// attribute is none.
  std::optional<llvm::SmallVector<int64_t>> getInts(llvm::StringRef name) const;

  /// Of an attribute whose dialect is not linked, such as `#d.x<a = [1, 2], b =
  /// 3>`: the integers behind a name, empty if it is not there.
  llvm::SmallVector<int64_t> getField(llvm::StringRef attribute,
                                      llvm::StringRef name) const;
  /// Its last word: of `#d<kind GT>` GT.
  llvm::StringRef getKeyword(llvm::StringRef attribute) const;

  //===--------------------------------------------------------------------===//
  // What it becomes
  //===--------------------------------------------------------------------===//

  /// Replaces the results. Types may say more than the text did.
  llvm::LogicalResult replace(mlir::ValueRange values);
  /// Leaves the op as it is; `why` becomes a part of the explanation.
  llvm::LogicalResult leave(const llvm::Twine &why);
  llvm::StringRef getReason() const { return reason; }

  /// The scalar code of a region of ops on tensors of rank 0.
  mlir::FailureOr<llvm::SmallVector<mlir::Value>>
  inlineScalars(mlir::Region &region, mlir::OpBuilder &b,
                mlir::ValueRange arguments);

  mlir::Operation *op;
  Upstream &upstream;
  const ForeignTable &table;

private:
  std::string reason;
};

/// Says one op upstream.
using Translation = llvm::LogicalResult (*)(ForeignOp &op);
/// Says one op on scalars; null if it cannot.
using ScalarTranslation = mlir::Value (*)(ForeignOp &op, mlir::OpBuilder &b,
                                          mlir::ValueRange operands);
/// Upstream's type for one; null if there is none.
using TypeTranslation = mlir::Type (*)(mlir::Type type);

class ForeignTable {
public:
  ForeignTable();

  /// `name` has its dialect: "stablehlo.add".
  void add(llvm::StringRef name, Translation translation) {
    ops[name] = translation;
  }
  /// An elementwise op on operands of one shape, which may stand in regions.
  void addScalar(llvm::StringRef name, ScalarTranslation translation) {
    scalars[name] = translation;
  }
  void addDialect(llvm::StringRef name) { dialects[name] = true; }
  /// An op whose results are no tensors: translations of others read what it
  /// makes from it, and it goes when nobody needs it.
  void addSource(llvm::StringRef name) { sources[name] = true; }
  /// How the types of a dialect are read.
  void addType(llvm::StringRef dialect, TypeTranslation translation) {
    types[dialect] = translation;
  }

  Translation lookup(llvm::StringRef name) const { return ops.lookup(name); }
  ScalarTranslation lookupScalar(llvm::StringRef name) const {
    return scalars.lookup(name);
  }
  bool isKnownDialect(llvm::StringRef name) const {
    return dialects.contains(name);
  }
  bool isSource(llvm::StringRef name) const { return sources.contains(name); }
  /// Upstream's type for one of a dialect that is not linked; null if there is
  /// none.
  mlir::Type convertType(mlir::Type type) const;

private:
  llvm::StringMap<Translation> ops;
  llvm::StringMap<ScalarTranslation> scalars;
  llvm::StringMap<TypeTranslation> types;
  llvm::StringMap<bool> dialects, sources;
};

/// The tables, a file each.
void addStableHLO(ForeignTable &table);
void addOnnx(ForeignTable &table);
void addTorch(ForeignTable &table);
void addTmTensor(ForeignTable &table);

/// Writes structured ops so that every loop stands for a dimension of what it
/// writes, and no index asks at run time whether a size is 1.
void normalizeLinalg(mlir::func::FuncOp func);

/// Whether an element of the tensor is its index along `dim`.
bool isIota(mlir::Value tensor, int64_t dim);

/// Of an `onnx.NonZero` that is to stay.
inline constexpr llvm::StringLiteral kKeepPlacesAttrName = "raise_keep";

/// Lists of places that depend on data become lists of all places, of which a
/// scatter leaves out those that are not meant. Whether that is the same in
/// `func`, whose other ops are upstream's: rows have to be alone in between.
bool checkPlaces(mlir::func::FuncOp func);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_FOREIGN_H
