//===- EntryChecks.h - What an entry point checks ----------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The base of what builds the functions of the C interface: small builders, and
// the checks of sizes and arguments that they make of them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_LOWERING_ENTRYCHECKS_H
#define MOE_LIB_LOWERING_ENTRYCHECKS_H

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"

#include <cmath>
#include <cstddef>

namespace moe {
using namespace mlir;

class EntryChecks {
protected:
  /// Sizes above make 32-bit token ids overflow.
  static constexpr int64_t kMaxSize = 0x7fffffff;
  /// Bound of the product of all sizes: keeps byte counts within 64 bits.
  static constexpr int64_t kMaxProduct = int64_t(1) << 40;

  /// One argument or result of the C function.
  struct Parameter {
    std::string name;
    Type type;
    unsigned argument;
    DictionaryAttr packed;
    bool isResult;
  };

  EntryChecks(ModuleOp module, func::FuncOp function, StringRef suffix)
      : module(module), entryName(function.getName().str()),
        suffix(suffix.str()), b(module.getContext()), loc(function.getLoc()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())),
        i32(b.getI32Type()), i64(b.getI64Type()) {}

  Value constant(Type type, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, type, value);
  }
  Value compare(LLVM::ICmpPredicate predicate, Value lhs, Value rhs) {
    return LLVM::ICmpOp::create(b, loc, predicate, lhs, rhs);
  }
  Value isNull(Value value) {
    return compare(LLVM::ICmpPredicate::eq, value,
                   LLVM::ZeroOp::create(b, loc, pointer));
  }
  Value both(Value lhs, Value rhs) {
    return LLVM::AndOp::create(b, loc, lhs, rhs);
  }
  Value either(Value lhs, Value rhs) {
    return LLVM::OrOp::create(b, loc, lhs, rhs);
  }
  Value load(Type type, Value base, size_t offset) {
    Value address = LLVM::GEPOp::create(
        b, loc, pointer, b.getI8Type(), base,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
    return LLVM::LoadOp::create(b, loc, type, address);
  }
  Value string(StringRef text) {
    std::string name = "moe_message";
    for (unsigned n = 0; module.lookupSymbol(name); ++n)
      name = "moe_message_" + std::to_string(nextMessage++);
    return LLVM::createGlobalString(loc, b, name, (text + Twine('\0')).str(),
                                    LLVM::Linkage::Internal);
  }

  /// Declares (or finds) a function of the runtime, or our own reporter.
  LLVM::LLVMFuncOp declare(StringRef name, Type result, ArrayRef<Type> inputs) {
    if (auto found = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
      return found;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    return LLVM::LLVMFuncOp::create(
        b, loc, name, LLVM::LLVMFunctionType::get(result, inputs));
  }

  /// `int32 moe_report(rt, status, message)`: tells the error hook.
  LLVM::LLVMFuncOp reporter() {
    auto function = declare("moe_report", i32, {pointer, i32, pointer});
    if (!function.isExternal())
      return function;
    OpBuilder::InsertionGuard guard(b);
    function.setLinkage(LLVM::Linkage::Internal);
    Block *entry = function.addEntryBlock(b);
    Region &region = function.getBody();
    Block *call = b.createBlock(&region), *done = b.createBlock(&region);
    Value rt = entry->getArgument(0), status = entry->getArgument(1);
    b.setInsertionPointToStart(entry);
    Value hook = load(pointer, rt, offsetof(moe_rt, error));
    LLVM::CondBrOp::create(b, loc, isNull(hook), done, ValueRange(), call,
                           ValueRange());
    b.setInsertionPointToStart(call);
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(b.getContext()), {pointer, i32, pointer});
    LLVM::CallOp::create(b, loc, type,
                         ValueRange{hook, rt, status, entry->getArgument(2)});
    LLVM::BrOp::create(b, loc, ValueRange(), done);
    b.setInsertionPointToStart(done);
    LLVM::ReturnOp::create(b, loc, status);
    return function;
  }

  /// Returns `status` from the function under construction if `bad`.
  void check(Value bad, int status, const Twine &message) {
    Region *region = b.getBlock()->getParent();
    Block *from = b.getBlock();
    Block *fail = b.createBlock(region, region->end());
    Block *next = b.createBlock(region, region->end());
    b.setInsertionPointToEnd(from);
    LLVM::CondBrOp::create(b, loc, bad, fail, ValueRange(), next, ValueRange());
    b.setInsertionPointToStart(fail);
    LLVM::LLVMFuncOp report = reporter();
    Value code = LLVM::CallOp::create(
                     b, loc, report,
                     ValueRange{rt, constant(i32, status),
                                string((entryName + ": " + message).str())})
                     .getResult();
    LLVM::ReturnOp::create(b, loc, code);
    b.setInsertionPointToStart(next);
  }

  LLVM::LLVMFuncOp createFunction(StringRef name, Type result,
                                  ArrayRef<Type> inputs) {
    b.setInsertionPoint(body);
    auto wrapper =
        LLVM::LLVMFuncOp::create(b, loc, (name + suffix).str(),
                                 LLVM::LLVMFunctionType::get(result, inputs));
    // Variants are called by the dispatcher of the same artifact only.
    if (!suffix.empty())
      wrapper.setVisibility_(LLVM::Visibility::Hidden);
    b.setInsertionPointToStart(wrapper.addEntryBlock(b));
    return wrapper;
  }

  /// The dynamic dimensions of `parameter` that can make it too large, and how
  /// many elements they may have; none if they cannot.
  int64_t boundElements(Parameter &parameter, SmallVectorImpl<unsigned> &dims) {
    auto memref = dyn_cast<MemRefType>(parameter.type);
    if (!memref)
      return 0;
    // In f64, where nothing overflows.
    double most =
        DataLayout::closest(body).getTypeSize(memref.getElementType());
    for (int64_t d = 0; d < memref.getRank(); ++d) {
      if (memref.isDynamicDim(d))
        dims.push_back(*sizes.lookup(parameter.argument, d));
      else
        most *= memref.getDimSize(d);
    }
    llvm::SmallDenseSet<unsigned> distinct(dims.begin(), dims.end());
    double product = distinct.size() == dims.size() && dims.size() > 1
                         ? static_cast<double>(kMaxProduct)
                         : std::pow(static_cast<double>(kMaxSize), dims.size());
    if (dims.empty() || most * product <= moe::kMaxBytes)
      dims.clear();
    return static_cast<int64_t>(moe::kMaxBytes / std::max(most, 1.0));
  }

  /// Whether the product of `values` is above `limit`.
  Value exceeds(ArrayRef<Value> values, int64_t most) {
    Value limit = constant(i64, most), one = constant(i64, 1);
    for (Value value : values) {
      Value divisor = LLVM::SelectOp::create(
          b, loc, compare(LLVM::ICmpPredicate::eq, value, constant(i64, 0)),
          one, value);
      limit = LLVM::UDivOp::create(b, loc, limit, divisor);
    }
    return compare(LLVM::ICmpPredicate::eq, limit, constant(i64, 0));
  }

  /// Whether the sizes are out of range, as one i1; null without sizes.
  Value badSizes(ArrayRef<Value> values) {
    Value bad;
    auto add = [&](Value condition) {
      bad = bad ? either(bad, condition) : condition;
    };
    // Unsigned: negative sizes are above, too.
    for (Value value : values)
      add(compare(LLVM::ICmpPredicate::ugt, value, constant(i64, kMaxSize)));
    if (values.size() > 1)
      add(exceeds(values, kMaxProduct));
    for (Parameter &parameter : parameters) {
      SmallVector<unsigned> dims;
      int64_t most = boundElements(parameter, dims);
      if (!dims.empty())
        add(exceeds(pick(values, dims), most));
    }
    return bad;
  }

  static SmallVector<Value> pick(ArrayRef<Value> values,
                                 ArrayRef<unsigned> which) {
    return llvm::map_to_vector(which, [&](unsigned i) { return values[i]; });
  }

  Value misaligned(Value value, int64_t alignment) {
    Value address = LLVM::PtrToIntOp::create(b, loc, i64, value);
    Value low = both(address, constant(i64, alignment - 1));
    return compare(LLVM::ICmpPredicate::ne, low, constant(i64, 0));
  }

  ModuleOp module;
  /// What the functions wrap.
  func::FuncOp body;
  /// In C.
  std::string entryName, suffix;
  OpBuilder b;
  Location loc;
  Type pointer, i32, i64;
  EntrySizes sizes;
  SmallVector<Parameter> parameters;
  Value rt;
  unsigned nextMessage = 0;
};

} // namespace moe

#endif // MOE_LIB_LOWERING_ENTRYCHECKS_H
