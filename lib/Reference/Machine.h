//===- Machine.h - State of the interpreter ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The machine executes ops one by one through a table of handlers; each file
// of this library contributes the handlers of one family of ops.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_MACHINE_H
#define MOE_LIB_REFERENCE_MACHINE_H

#include "Rounding.h"
#include "Values.h"
#include "mlir/IR/Operation.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include <algorithm>
#include <functional>

namespace moe::reference {

class Machine;

class HandlerTable {
public:
  using Handler =
      std::function<llvm::LogicalResult(Machine &, mlir::Operation *)>;

  /// `handler(Machine &, OpT)` returns a LogicalResult and has emitted an
  /// error when it fails.
  template <typename OpT, typename Fn> void add(Fn handler) {
    handlers[OpT::getOperationName()] = [handler](Machine &machine,
                                                  mlir::Operation *op) {
      return handler(machine, llvm::cast<OpT>(op));
    };
  }
  const Handler *find(llvm::StringRef name) const {
    auto it = handlers.find(name);
    return it == handlers.end() ? nullptr : &it->second;
  }

private:
  llvm::StringMap<Handler> handlers;
};

void addControlFlow(HandlerTable &table);
void addTensorOps(HandlerTable &table);
void addVectorOps(HandlerTable &table);
void addLinalgOps(HandlerTable &table);
void addMoeOps(HandlerTable &table);
void addExpertOps(HandlerTable &table);
void addCapacityOps(HandlerTable &table);
void addSimilarityOp(HandlerTable &table);
void addBalanceOp(HandlerTable &table);
void addDequantizeOp(HandlerTable &table);

/// Calls the C function that `callee` declares, from the body of an expert.
llvm::LogicalResult executeExternal(Machine &machine, mlir::func::CallOp op,
                                    mlir::func::FuncOp callee);

/// Executes any structured op of linalg.
llvm::LogicalResult executeLinalg(Machine &machine, mlir::Operation *op);

class Machine {
public:
  Machine(const HandlerTable &table, const Options &options)
      : options(options), rounding(options.rounding), table(table) {}

  llvm::LogicalResult execute(mlir::Operation *op);

  /// Runs the one block of `region` and returns the operands of its
  /// terminator.
  llvm::FailureOr<llvm::SmallVector<Datum>>
  run(mlir::Region &region, llvm::ArrayRef<Datum> arguments);

  /// Runs the body of `func` with values of its own.
  llvm::FailureOr<llvm::SmallVector<Datum>>
  call(mlir::func::FuncOp func, llvm::ArrayRef<Datum> arguments,
       mlir::Location where);

  void set(mlir::Value value, Datum datum) { values[value] = std::move(datum); }
  /// After what follows from the slots; shows it to the hook, if there is one.
  void setRouting(mlir::Value value, Routing routing);
  const Datum &get(mlir::Value value) const {
    return values.find(value)->second;
  }
  ArrayPtr getArray(mlir::Value value) const { return get(value).array; }
  RoutingPtr getRouting(mlir::Value value) const { return get(value).routing; }
  int64_t getInt(mlir::Value value) const { return get(value).scalar.i; }
  int64_t getInt(mlir::OpFoldResult value) const;
  llvm::SmallVector<int64_t>
  getInts(llvm::ArrayRef<mlir::OpFoldResult> list) const;
  llvm::SmallVector<int64_t> getInts(mlir::ValueRange list) const;

  /// A zero-filled array for values of `type` (F64 or I64); an error at `op`
  /// when the shape is negative or there is no memory for it.
  llvm::FailureOr<MutableArrayPtr>
  allocate(mlir::Operation *op, mlir::Type type, llvm::ArrayRef<int64_t> shape);
  /// Like that, of elements as they come from outside.
  llvm::FailureOr<MutableArrayPtr> allocateAs(mlir::Operation *op, DType dtype,
                                              llvm::ArrayRef<int64_t> shape);
  /// Like that, in the storage type of `like`.
  llvm::FailureOr<MutableArrayPtr> allocateLike(mlir::Operation *op,
                                                const HostTensor &like,
                                                llvm::ArrayRef<int64_t> shape);
  /// A copy of `array` that handlers can store to (F64 or I64).
  llvm::FailureOr<MutableArrayPtr> copyOf(mlir::Operation *op,
                                          const HostTensor &array);

  /// The array of a constant, made once.
  llvm::FailureOr<ArrayPtr> constant(mlir::Operation *op,
                                     mlir::ElementsAttr elements);

  /// Rounds the elements to `type` (see RoundingErrors::round).
  void round(HostTensor &array, mlir::Type type, double units = 1.0);

  /// Shows the hook, if there is one, what `weights` are multiplied with.
  void showProduct(mlir::Value weights, const double *rows, int64_t count,
                   int64_t depth) {
    if (options.productHook)
      options.productHook->onProduct(weights, expert, rows, count, depth);
  }

  /// Tells that an expert is done.
  void finishExpert() {
    ++doneExperts;
    if (options.progress)
      options.progress(doneExperts, std::max(doneExperts, knownExperts), "");
  }

  const Options options;
  RoundingErrors rounding;
  /// Whose body is executed, of its group.
  std::optional<int64_t> expert;
  /// Indices of the linalg ops being executed, innermost last.
  llvm::SmallVector<llvm::ArrayRef<int64_t>> iterations;

private:
  const HandlerTable &table;
  llvm::DenseMap<mlir::Value, Datum> values;
  llvm::DenseMap<mlir::Operation *, ArrayPtr> constants;
  unsigned callDepth = 0;
  uint64_t doneExperts = 0, knownExperts = 0;
};

/// Checks that a run-time shape is an instance of the static type.
llvm::LogicalResult checkShape(mlir::Operation *op, mlir::Type type,
                               llvm::ArrayRef<int64_t> shape,
                               llvm::StringRef what);

std::string formatShape(llvm::ArrayRef<int64_t> shape);

/// Emits the error for an attribute without a reference model.
llvm::LogicalResult emitNoModel(mlir::Operation *op, mlir::Attribute attribute,
                                llvm::StringRef interface);

/// What is known of the errors of a formula that an attribute stands for: those
/// of its arguments, and so many units in its result.
constexpr double kFormulaUnits = 4.0;

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_MACHINE_H
