//===- Linalg.cpp - Ordinary IR, an element a thread ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Any op of linalg on memory: a thread has an element of the result, and goes
// through the reductions of it in their order.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include "moe-mlir/Lowering/EntryPoints.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

static constexpr int64_t kThreads = 256;

/// Memory whose elements kernels find: of a type they read, in strides that are
/// known or those of dense rows.
static bool isReadable(Value value) {
  auto type = dyn_cast<MemRefType>(value.getType());
  if (!type || !type.getElementType().isIntOrFloat() ||
      type.getElementTypeBitWidth() % 8)
    return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  return type.getLayout().isIdentity() ||
         (succeeded(type.getStridesAndOffset(strides, offset)) && offset == 0 &&
          llvm::none_of(strides, ShapedType::isDynamic));
}

/// Whether it is an argument that nothing writes to: results are arguments with
/// a role.
static bool isInput(Value memref) {
  auto argument = dyn_cast<BlockArgument>(memref);
  auto func = argument
                  ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
                  : func::FuncOp();
  return func && !func.getArgAttr(argument.getArgNumber(), kRoleAttr);
}

/// Whether the loops of `op` say where in `operand` each element is, by sums
/// and products of theirs, and how far its rows are apart.
static bool isPlaceable(linalg::LinalgOp op, OpOperand &operand) {
  auto type = cast<MemRefType>(operand.get().getType());
  AffineMap map = op.getMatchingIndexingMap(&operand);
  for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
    bool plain = true;
    expr.walk([&](AffineExpr e) {
      plain &= e.getKind() != AffineExprKind::Mod &&
               e.getKind() != AffineExprKind::FloorDiv &&
               e.getKind() != AffineExprKind::CeilDiv;
    });
    if (!plain || (dim && type.isDynamicDim(dim) && !isa<AffineDimExpr>(expr)))
      return false;
  }
  // More elements of one loop than an i32 counts.
  auto collapsed = operand.get().getDefiningOp<memref::CollapseShapeOp>();
  return !collapsed || type.hasStaticShape();
}

/// Whether the kernel can compute a value of the function around by itself:
/// arithmetic on constants and on elements of what the function is given.
static bool isRecomputable(Value value) {
  if (matchPattern(value, m_Constant()))
    return true;
  Operation *op = value.getDefiningOp();
  if (auto load = dyn_cast_or_null<memref::LoadOp>(op))
    return isInput(load.getMemref()) && isReadable(load.getMemref()) &&
           load.getMemRefType().hasStaticShape() &&
           load.getMemRefType().getLayout().isIdentity() &&
           llvm::all_of(load.getIndices(), [](Value index) {
             return matchPattern(index, m_Constant());
           });
  return op && op->getNumResults() == 1 && op->getNumRegions() == 0 &&
         isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperands(), isRecomputable);
}

/// The memory that it reads for this.
static void addRead(Value value, SetVector<Value> &memrefs) {
  Operation *op = value.getDefiningOp();
  if (auto load = dyn_cast_or_null<memref::LoadOp>(op))
    memrefs.insert(load.getMemref());
  else if (op)
    for (Value operand : op->getOperands())
      addRead(operand, memrefs);
}

/// The memory that the kernel of `op` is given.
static SetVector<Value> getMemory(linalg::LinalgOp op) {
  SetVector<Value> memrefs, captured;
  getUsedValuesDefinedAbove(op->getRegion(0), captured);
  for (Value operand : op->getOperands())
    if (isa<MemRefType>(operand.getType()))
      memrefs.insert(operand);
    else
      addRead(operand, memrefs);
  for (Value value : captured)
    addRead(value, memrefs);
  return memrefs;
}

StringRef gpu::whyNoKernel(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1 || !isReadable(op.getDpsInits()[0]))
    return "it does not write one memref";
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  auto iterators = op.getIteratorTypesArray();
  if (!out.isProjectedPermutation() ||
      out.getNumResults() != op.getNumParallelLoops() ||
      llvm::any_of(out.getResults(), [&](AffineExpr e) {
        return iterators[cast<AffineDimExpr>(e).getPosition()] !=
               utils::IteratorType::parallel;
      }))
    return "it writes elements more than once";
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()) && !isPlaceable(op, operand))
      return "its maps are not sums of its loops, or a loop goes over several "
             "dimensions";
  for (Value input : op.getDpsInputs())
    if (isa<MemRefType>(input.getType()) ? !isReadable(input)
                                         : !isRecomputable(input))
      return "it reads what is no memory of plain numbers";
  for (Operation &inner : op.getBlock()->without_terminator())
    if (!isa<arith::ArithDialect, math::MathDialect>(inner.getDialect()) &&
        !isa<linalg::IndexOp>(inner))
      return "its body has more than arithmetic";
  SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegion(0), captured);
  if (!llvm::all_of(captured, isRecomputable))
    return "its body reads values that the host computes";
  return "";
}

namespace {
class Body {
public:
  Body(Emitter &code, linalg::LinalgOp op, ValueRange memory,
       Block::BlockArgListType arguments)
      : code(code), op(op) {
    // Pointers first, then the sizes of the loops.
    size_t next = 0;
    for (Value memref : memory)
      pointers[memref] = arguments[next++];
    for (int64_t size : op.getStaticLoopRanges())
      sizes.push_back(ShapedType::isDynamic(size)
                          ? code.widen(arguments[next++])
                          : code.constant64(size));
  }

  void build() {
    SmallVector<int64_t> parallel, reduced;
    for (auto [i, type] : llvm::enumerate(op.getIteratorTypesArray()))
      (type == utils::IteratorType::parallel ? parallel : reduced).push_back(i);
    Value all = code.constant64(1);
    for (int64_t loop : parallel)
      all = code.mul(all, sizes[loop]);
    Value first = code.add(code.mul(code.widen(code.block()), kThreads),
                           code.widen(code.thread()));
    code.loop(first, all, code.mul(code.widen(code.numBlocks()), kThreads), {},
              [&](Value number, ValueRange) -> SmallVector<Value> {
                buildElement(number, parallel, reduced);
                return {};
              });
  }

private:
  void buildElement(Value number, ArrayRef<int64_t> parallel,
                    ArrayRef<int64_t> reduced) {
    at.assign(sizes.size(), Value());
    linear = reduced.empty() ? number : Value();
    for (int64_t loop :
         llvm::reverse(parallel.drop_front(parallel.empty() ? 0 : 1))) {
      Value rest = code.div(number, sizes[loop]);
      at[loop] = code.sub(number, code.mul(rest, sizes[loop]));
      number = rest;
    }
    if (!parallel.empty())
      at[parallel.front()] = number;
    OpOperand *out = op.getDpsInitOperand(0);
    Type element = getElementTypeOrSelf(out->get().getType());
    Value place;
    Value value;
    // What was there before is read where the body does.
    for (int64_t loop : reduced)
      at[loop] = code.constant64(0);
    place = getPlace(*out);
    value = op.payloadUsesValueFromOperand(out)
                ? code.load(element, place)
                : Value(LLVM::PoisonOp::create(code, element));
    value = reduce(reduced, value);
    code.store(value, place);
  }

  Value reduce(ArrayRef<int64_t> reduced, Value value) {
    if (reduced.empty())
      return inlineBody(value);
    return code
        .loop(code.constant64(0), sizes[reduced.front()], code.constant64(1),
              value,
              [&](Value step, ValueRange values) -> SmallVector<Value> {
                at[reduced.front()] = step;
                return {reduce(reduced.drop_front(), values[0])};
              })
        .front();
  }

  Value inlineBody(Value previous) {
    Block &body = *op.getBlock();
    IRMapping map;
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = body.getArgument(operand.getOperandNumber());
      if (op.isDpsInit(&operand))
        map.map(argument, previous);
      else if (!argument.use_empty())
        map.map(argument, read(operand));
    }
    auto lookup = [&](Value value) {
      if (!map.contains(value))
        map.map(value, recompute(value));
      return map.lookup(value);
    };
    for (Operation &inner : body.without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        map.map(index.getResult(),
                arith::IndexCastOp::create(code, code.getIndexType(),
                                           at[index.getDim()]));
        continue;
      }
      for (Value operand : inner.getOperands())
        lookup(operand);
      code.clone(inner, map);
    }
    return lookup(body.getTerminator()->getOperand(0));
  }

  /// A value of the function around, here.
  Value recompute(Value value) {
    Operation *op = value.getDefiningOp();
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      int64_t number = 0;
      for (auto [index, size] :
           llvm::zip(load.getIndices(), load.getMemRefType().getShape()))
        number = number * size + *getConstantIntValue(index);
      Type element = load.getType();
      return code.load(element,
                       code.at(pointers.lookup(load.getMemref()),
                               number * element.getIntOrFloatBitWidth() / 8));
    }
    IRMapping map;
    for (Value operand : op->getOperands())
      map.map(operand, recompute(operand));
    return code.clone(*op, map)->getResult(0);
  }

  Value read(OpOperand &operand) {
    Type type = operand.get().getType();
    if (!isa<MemRefType>(type))
      return recompute(operand.get());
    return code.load(getElementTypeOrSelf(type), getPlace(operand));
  }

  /// The address of the element of an operand that the loops are at.
  Value getPlace(OpOperand &operand) {
    auto type = cast<MemRefType>(operand.get().getType());
    AffineMap map = op.getMatchingIndexingMap(&operand);
    SmallVector<int64_t> strides;
    int64_t offset;
    bool dense = type.getLayout().isIdentity();
    if (!dense)
      (void)type.getStridesAndOffset(strides, offset);
    // The same place in all: no division.
    Value number = dense && map.isIdentity() ? linear : Value();
    SmallVector<AffineExpr> results(map.getResults());
    if (number)
      results.clear();
    for (auto [dim, expr] : llvm::enumerate(results)) {
      Value own = evaluate(expr);
      if (!dense)
        own = code.mul(own, strides[dim]);
      else if (number)
        number = code.mul(number, getSize(type, map, dim));
      number = number ? code.add(number, own) : own;
    }
    if (!number)
      number = code.constant64(0);
    return code.at(pointers.lookup(operand.get()),
                   code.mul(number, type.getElementTypeBitWidth() / 8));
  }

  /// The size of a dimension: a dynamic one is that of the loop over it.
  Value getSize(MemRefType type, AffineMap map, int64_t dim) {
    if (!type.isDynamicDim(dim))
      return code.constant64(type.getDimSize(dim));
    return sizes[cast<AffineDimExpr>(map.getResult(dim)).getPosition()];
  }

  Value evaluate(AffineExpr expr) {
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return code.constant64(constant.getValue());
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return at[dim.getPosition()];
    auto both = cast<AffineBinaryOpExpr>(expr);
    Value a = evaluate(both.getLHS()), b = evaluate(both.getRHS());
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return code.add(a, b);
    case AffineExprKind::Mul:
      return code.mul(a, b);
    default:
      llvm_unreachable("isPlaceable refuses all others");
    }
  }

  Emitter &code;
  linalg::LinalgOp op;
  DenseMap<Value, Value> pointers;
  SmallVector<Value> sizes;
  /// Where each loop is, and all of them if none is a reduction.
  SmallVector<Value> at;
  Value linear;
};
} // namespace

LLVM::LLVMFuncOp gpu::buildLinalg(ModuleOp module, StringRef name,
                                  linalg::LinalgOp op,
                                  SmallVectorImpl<Value> &arguments) {
  Emitter code(module.getLoc(), module.getContext());
  SetVector<Value> memory = getMemory(op);
  SmallVector<Type> types(memory.size(), code.pointer(kGlobal));
  types.append(llvm::count_if(op.getStaticLoopRanges(), ShapedType::isDynamic),
               code.i32());
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  Body(code, op, memory.getArrayRef(), func.getArguments()).build();
  LLVM::ReturnOp::create(code, ValueRange());
  llvm::append_range(arguments, memory);
  return func;
}
