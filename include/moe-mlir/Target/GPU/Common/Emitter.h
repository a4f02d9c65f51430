//===- Emitter.h - What kernels for GPUs are made of ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A builder for kernels in the form of the `moe_gpu` dialect: 32-bit integers,
// addresses in shared and global memory, barriers, and what teams of 32 threads
// do together.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_EMITTER_H
#define MOE_MLIR_TARGET_GPU_COMMON_EMITTER_H

#include "moe_gpu/MoeGpu.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace moe::gpu {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

using moegpu::kTeam;

/// Address spaces.
constexpr unsigned kGlobal = moegpu::kGlobalSpace,
                   kShared = moegpu::kSharedSpace;

class Emitter : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  Type i32() { return getI32Type(); }
  Type f32() { return getF32Type(); }
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
    create<moegpu::StoreIfOp>(condition, value, address);
  }
  /// The first byte of what the block shares.
  Value sharedMemory() { return create<moegpu::SharedOp>(); }

  //===--------------------------------------------------------------------===//
  // Threads
  //===--------------------------------------------------------------------===//

  Value thread() { return create<moegpu::ThreadOp>(); }
  Value block() { return create<moegpu::BlockOp>(); }
  Value numBlocks() { return create<moegpu::NumBlocksOp>(); }
  void barrier() { create<moegpu::BarrierOp>(); }

  /// The value of one lane, in all.
  Value broadcast(Value value, int64_t lane) {
    return broadcast(value, constant(lane));
  }
  Value broadcast(Value value, Value lane) {
    return shuffle(moegpu::ShuffleKind::Index, value, lane);
  }
  /// That of the lane whose number differs in these bits.
  Value exchange(Value value, int64_t bits) {
    return shuffle(moegpu::ShuffleKind::Xor, value, constant(bits));
  }
  /// That of the lane `distance` below, or the lane's own.
  Value fromBelow(Value value, int64_t distance) {
    return shuffle(moegpu::ShuffleKind::Up, value, constant(distance));
  }
  /// One integer of those of all lanes, signed.
  Value reduce(moegpu::ReduceKind kind, Value value) {
    return create<moegpu::ReduceOp>(kind, value);
  }
  /// A bit for each lane in which it holds.
  Value ballot(Value condition) { return create<moegpu::BallotOp>(condition); }
  Value countBits(Value word) { return create<mlir::LLVM::CtPopOp>(word); }
  /// How many of `lanes`, bits of a ballot, are below lane `lane`.
  Value countBelow(Value lanes, Value lane) {
    Value one = constant(1);
    return countBits(both(lanes, sub(shl(one, lane), one)));
  }
  /// The number of lanes in which it holds.
  Value countLanes(Value condition) { return countBits(ballot(condition)); }

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
  /// Two floats of 16 bits in a word, rounded to nearest even.
  Value toHalves(Type element, Value low, Value high) {
    Value narrow = create<mlir::arith::TruncFOp>(
        mlir::VectorType::get({2}, element), pack({low, high}));
    return create<mlir::LLVM::BitcastOp>(i32(), narrow);
  }
  Value toBF16(Value low, Value high) {
    return toHalves(getBF16Type(), low, high);
  }
  /// The two of a word, as f32.
  std::pair<Value, Value> fromBF16(Value word) {
    Value low = shl(word, 16), high = bitAnd(word, 0xffff0000);
    return {create<mlir::LLVM::BitcastOp>(f32(), low),
            create<mlir::LLVM::BitcastOp>(f32(), high)};
  }
  /// Floats that lie next to each other in memory, as they were read.
  struct Loaded {
    Type element;
    int64_t count;
    mlir::SmallVector<Value> words;
  };
  /// `count` floats, 1 or a multiple of 2, from an address that is aligned to
  /// all of them up to 16 bytes.
  Loaded loadFloats(Type element, Value address, int64_t count);
  /// The same in f32.
  mlir::SmallVector<Value> widenFloats(const Loaded &loaded);
  /// Rounds values of f32 to nearest even and stores them next to each other.
  void storeFloats(ValueRange values, Type element, Value address);
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

protected:
  template <typename Op, typename... Args> Op create(Args &&...args) {
    return Op::create(*this, std::forward<Args>(args)...);
  }
  Value like(int64_t value, Value other) {
    return create<mlir::arith::ConstantOp>(
        getIntegerAttr(other.getType(), value));
  }
  Value shuffle(moegpu::ShuffleKind kind, Value value, Value lane) {
    return create<moegpu::ShuffleOp>(kind, value, lane);
  }
};

/// A kernel of blocks of `threads` threads, of which a multiprocessor has room
/// for `resident`; `code` goes on in it.
mlir::LLVM::LLVMFuncOp createKernel(Emitter &code, mlir::ModuleOp module,
                                    mlir::StringRef name,
                                    mlir::TypeRange arguments, int64_t threads,
                                    int64_t resident = 1);

/// `moe_gpu.reduce` becomes exchanges, for targets that have no better.
void expandReductions(mlir::LLVM::LLVMFuncOp kernel);

/// Gives the blocks of a kernel so many bytes that their threads share.
void setSharedBytes(mlir::LLVM::LLVMFuncOp kernel, int64_t bytes);

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_EMITTER_H
