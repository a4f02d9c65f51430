//===- Emitter.h - Instructions of NVIDIA's GPUs ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A builder for what kernels are made of: 32-bit integers, addresses in shared
// and global memory, barriers, copies, and what warps do together.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace moe::nvidia {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// Address spaces.
constexpr unsigned kGlobal = 1, kShared = 3;
constexpr unsigned kAllLanes = 0xffffffff;

/// On a module of kernels that are set up while those before them end.
constexpr llvm::StringLiteral kOverlapsAttr = "moe_nvidia.overlaps";

class Emitter : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  Type i32() { return getI32Type(); }
  Type f32() { return getF32Type(); }
  Type mapType() { return mlir::LLVM::LLVMArrayType::get(getI8Type(), 128); }
  Type pointer(unsigned space) {
    return mlir::LLVM::LLVMPointerType::get(getContext(), space);
  }

  //===--------------------------------------------------------------------===//
  // Integers
  //===--------------------------------------------------------------------===//

  Value constant(int64_t value) {
    return create<mlir::arith::ConstantIntOp>(i32(), value);
  }
  Value constant64(int64_t value) {
    return create<mlir::arith::ConstantIntOp>(getI64Type(), value);
  }
  Value add(Value a, Value b) { return create<mlir::arith::AddIOp>(a, b); }
  Value add(Value a, int64_t b) { return add(a, like(b, a)); }
  Value sub(Value a, Value b) { return create<mlir::arith::SubIOp>(a, b); }
  Value mul(Value a, int64_t b) {
    return create<mlir::arith::MulIOp>(a, like(b, a));
  }
  Value mul(Value a, Value b) { return create<mlir::arith::MulIOp>(a, b); }
  Value div(Value a, Value b) { return create<mlir::arith::DivUIOp>(a, b); }
  Value shr(Value a, int64_t b) {
    return create<mlir::arith::ShRUIOp>(a, like(b, a));
  }
  Value shl(Value a, int64_t b) {
    return create<mlir::arith::ShLIOp>(a, like(b, a));
  }
  Value shl(Value a, Value b) { return create<mlir::arith::ShLIOp>(a, b); }
  Value bitAnd(Value a, int64_t b) {
    return create<mlir::arith::AndIOp>(a, like(b, a));
  }
  Value bitXor(Value a, Value b) { return create<mlir::arith::XOrIOp>(a, b); }
  Value bitOr(Value a, Value b) { return create<mlir::arith::OrIOp>(a, b); }
  Value min(Value a, Value b) { return create<mlir::arith::MinSIOp>(a, b); }
  Value max(Value a, Value b) { return create<mlir::arith::MaxSIOp>(a, b); }
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b) {
    return create<mlir::arith::CmpIOp>(predicate, a, b);
  }
  Value isLess(Value a, Value b) {
    return compare(mlir::arith::CmpIPredicate::slt, a, b);
  }
  Value isEqual(Value a, int64_t b) {
    return compare(mlir::arith::CmpIPredicate::eq, a, like(b, a));
  }
  Value both(Value a, Value b) { return create<mlir::arith::AndIOp>(a, b); }
  Value either(Value a, Value b) { return create<mlir::arith::OrIOp>(a, b); }
  Value select(Value condition, Value a, Value b) {
    return create<mlir::arith::SelectOp>(condition, a, b);
  }
  Value widen(Value a) { return create<mlir::arith::ExtUIOp>(getI64Type(), a); }

  //===--------------------------------------------------------------------===//
  // Memory: addresses are counted in bytes
  //===--------------------------------------------------------------------===//

  Value at(Value base, Value bytes) {
    return create<mlir::LLVM::GEPOp>(base.getType(), getI8Type(), base,
                                     ValueRange{bytes});
  }
  Value at(Value base, int64_t bytes) {
    return create<mlir::LLVM::GEPOp>(
        base.getType(), getI8Type(), base,
        mlir::ArrayRef<mlir::LLVM::GEPArg>{static_cast<int32_t>(bytes)});
  }
  Value load(Type type, Value address) {
    return create<mlir::LLVM::LoadOp>(type, address);
  }
  void store(Value value, Value address) {
    create<mlir::LLVM::StoreOp>(value, address);
  }
  /// A word, without a branch.
  void storeIf(Value condition, Value value, Value address) {
    create<mlir::NVVM::InlinePtxOp>(mlir::TypeRange(),
                                    ValueRange{address, value}, ValueRange(),
                                    "st.global.b32 [$0], $1;", condition);
  }
  /// A shared address as the number that descriptors are made of.
  Value sharedNumber(Value address) {
    return create<mlir::LLVM::PtrToIntOp>(i32(), address);
  }

  //===--------------------------------------------------------------------===//
  // Threads
  //===--------------------------------------------------------------------===//

  Value thread() { return create<mlir::NVVM::ThreadIdXOp>(i32()); }
  Value block() { return create<mlir::NVVM::BlockIdXOp>(i32()); }
  Value numBlocks() { return create<mlir::NVVM::GridDimXOp>(i32()); }
  void barrier() { create<mlir::NVVM::Barrier0Op>(); }

  /// The value of one lane, in all.
  Value broadcast(Value value, int64_t lane) {
    return shuffle(value, constant(lane), 31, mlir::NVVM::ShflKind::idx);
  }
  Value broadcast(Value value, Value lane) {
    return shuffle(value, lane, 31, mlir::NVVM::ShflKind::idx);
  }
  /// That of the lane whose number differs in these bits.
  Value exchange(Value value, int64_t bits) {
    return shuffle(value, constant(bits), 31, mlir::NVVM::ShflKind::bfly);
  }
  /// That of the lane `distance` below, or the lane's own.
  Value fromBelow(Value value, int64_t distance) {
    return shuffle(value, constant(distance), 0, mlir::NVVM::ShflKind::up);
  }
  /// A bit for each lane in which it holds.
  Value ballot(Value condition) {
    return create<mlir::NVVM::VoteSyncOp>(i32(), constant(kAllLanes), condition,
                                          mlir::NVVM::VoteSyncKind::ballot);
  }
  Value countBits(Value word) { return create<mlir::LLVM::CtPopOp>(word); }
  /// The number of lanes in which it holds.
  Value countLanes(Value condition) { return countBits(ballot(condition)); }

  //===--------------------------------------------------------------------===//
  // Barriers in shared memory, and copies that arrive at them
  //===--------------------------------------------------------------------===//

  void initBarrier(Value barrier, int64_t arrivals) {
    create<mlir::NVVM::MBarrierInitOp>(barrier, constant(arrivals), Value());
  }
  void wait(Value barrier, Value parity) {
    create<mlir::NVVM::MBarrierTryWaitParityOp>(barrier, parity,
                                                constant(0x989680));
  }
  void arrive(Value barrier) {
    create<mlir::NVVM::MBarrierArriveOp>(getI64Type(), barrier, Value(),
                                         blockScope(), getBoolAttr(false));
  }
  void arriveExpecting(Value barrier, int64_t bytes) {
    create<mlir::NVVM::MBarrierArriveExpectTxOp>(Type(), barrier,
                                                 constant(bytes), blockScope(),
                                                 getBoolAttr(false), Value());
  }
  /// A box of the tensor that a map describes; `coordinates`, the innermost
  /// first, are those of its first element.
  void copyBox(Value to, Value map, ValueRange coordinates, Value barrier) {
    create<mlir::NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(
        create<mlir::LLVM::AddrSpaceCastOp>(pointer(7), to), map, coordinates,
        barrier, ValueRange(), Value(), Value(),
        mlir::NVVM::TMALoadModeAttr::get(getContext(),
                                         mlir::NVVM::TMALoadMode::TILE),
        getBoolAttr(false), mlir::NVVM::CTAGroupKindAttr(), Value());
  }
  /// 16 bytes.
  void copy16(Value to, Value from) {
    create<mlir::NVVM::CpAsyncOp>(
        to, from, getI32IntegerAttr(16),
        mlir::NVVM::LoadCacheModifierKindAttr::get(
            getContext(), mlir::NVVM::LoadCacheModifierKind::CG),
        Value());
  }
  void commitCopies() { create<mlir::NVVM::CpAsyncCommitGroupOp>(); }
  /// Until all but the last `groups` groups have arrived.
  void waitForCopies(int64_t groups) {
    create<mlir::NVVM::CpAsyncWaitGroupOp>(getI32IntegerAttr(groups));
  }
  /// What this thread wrote to shared memory is seen by what reads it without
  /// threads: copies in bulk and products of warpgroups.
  void publishToAsync() {
    create<mlir::NVVM::FenceProxyOp>(
        mlir::NVVM::ProxyKindAttr::get(getContext(),
                                       mlir::NVVM::ProxyKind::async_shared),
        mlir::NVVM::SharedSpaceAttr::get(getContext(),
                                         mlir::NVVM::SharedSpace::shared_cta));
  }

  //===--------------------------------------------------------------------===//
  // Control flow
  //===--------------------------------------------------------------------===//

  using Body = mlir::function_ref<mlir::SmallVector<Value>(Value, ValueRange)>;

  /// `for (i = from; i < to; i += step)`, with values that go round.
  mlir::SmallVector<Value> loop(Value from, Value to, Value step,
                                ValueRange initial, Body body) {
    auto loop = create<mlir::scf::ForOp>(from, to, step, initial);
    if (initial.empty() && !loop.getBody()->empty())
      loop.getBody()->back().erase();
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(loop.getBody());
    mlir::SmallVector<Value> values =
        body(loop.getInductionVar(), loop.getRegionIterArgs());
    create<mlir::scf::YieldOp>(values);
    return mlir::SmallVector<Value>(loop.getResults());
  }

  void when(Value condition, mlir::function_ref<void()> then,
            mlir::function_ref<void()> otherwise = nullptr) {
    auto branch = create<mlir::scf::IfOp>(condition, bool(otherwise));
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(branch.thenBlock());
    then();
    if (otherwise) {
      setInsertionPointToStart(branch.elseBlock());
      otherwise();
    }
  }

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  /// Words next to each other.
  Value pack(ValueRange words) {
    auto type =
        mlir::VectorType::get({int64_t(words.size())}, words.front().getType());
    Value vector = create<mlir::LLVM::PoisonOp>(type);
    for (auto [i, word] : llvm::enumerate(words))
      vector = create<mlir::LLVM::InsertElementOp>(vector, word, constant(i));
    return vector;
  }
  mlir::SmallVector<Value> unpack(Value vector) {
    mlir::SmallVector<Value> words;
    auto type = mlir::cast<mlir::VectorType>(vector.getType());
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      words.push_back(
          create<mlir::LLVM::ExtractElementOp>(vector, constant(i)));
    return words;
  }
  /// Two bf16 in a word, rounded to nearest even.
  Value toBF16(Value low, Value high) {
    Value narrow = create<mlir::arith::TruncFOp>(
        mlir::VectorType::get({2}, getBF16Type()), pack({low, high}));
    return create<mlir::LLVM::BitcastOp>(i32(), narrow);
  }
  /// The two of a word, as f32.
  std::pair<Value, Value> fromBF16(Value word) {
    Value low = shl(word, 16), high = bitAnd(word, 0xffff0000);
    return {create<mlir::LLVM::BitcastOp>(f32(), low),
            create<mlir::LLVM::BitcastOp>(f32(), high)};
  }
  /// The element of an expert and column of a tensor `[E, columns]`.
  Value loadOf(Value base, Type element, Value expert, Value column,
               int64_t columns) {
    Value at = add(mul(widen(expert), columns), widen(column));
    return load(element,
                this->at(base, mul(at, element.getIntOrFloatBitWidth() / 8)));
  }
  /// What a region of one block makes of scalars.
  Value inlineRegion(mlir::Region &region, ValueRange values) {
    mlir::IRMapping map;
    map.map(region.getArguments(), values);
    for (mlir::Operation &op : region.front().without_terminator())
      clone(op, map);
    return map.lookupOrDefault(region.front().getTerminator()->getOperand(0));
  }

private:
  template <typename Op, typename... Args> Op create(Args &&...args) {
    return Op::create(*this, std::forward<Args>(args)...);
  }
  mlir::NVVM::MemScopeKindAttr blockScope() {
    return mlir::NVVM::MemScopeKindAttr::get(getContext(),
                                             mlir::NVVM::MemScopeKind::CTA);
  }
  Value like(int64_t value, Value other) {
    return create<mlir::arith::ConstantIntOp>(other.getType(), value);
  }
  Value shuffle(Value value, Value offset, int64_t clamp,
                mlir::NVVM::ShflKind kind) {
    return create<mlir::NVVM::ShflOp>(value.getType(), constant(kAllLanes),
                                      value, offset, constant(clamp), kind,
                                      mlir::UnitAttr());
  }
};

/// A kernel of which a multiprocessor has room for so many blocks, and
/// `dynamic_shared`, which all share; `code` goes on in it. An
/// argument of `mapType` is a tensor map by value.
mlir::LLVM::LLVMFuncOp createKernel(Emitter &code, mlir::ModuleOp module,
                                    mlir::StringRef name,
                                    mlir::TypeRange arguments, int64_t threads,
                                    int64_t blocks = 1);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H
