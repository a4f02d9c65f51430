//===- RowKernels.cpp - Gather and combine -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

Value moe::emitScratch(Emitter &e, MemRefType type, ValueRange sizes) {
  return memref::AllocOp::create(e, type, sizes, e.getI64IntegerAttr(64));
}

/// A matrix without gaps between its rows: itself, or a copy. Routings that are
/// extended by experts for all tokens are written into a part of each row.
static Value withoutGaps(Emitter &e, Value matrix) {
  auto type = cast<MemRefType>(matrix.getType());
  if (type.getLayout().isIdentity() || type.getRank() != 2 ||
      type.isDynamicDim(1))
    return matrix;
  Value rows = e.dim(matrix, 0);
  Value copy = emitScratch(e,
                           MemRefType::get({ShapedType::kDynamic,
                                            type.getDimSize(1)},
                                           type.getElementType()),
                           rows);
  e.loop(rows, [&](Emitter &e, Value row) {
    e.loop(e.idx(type.getDimSize(1)), [&](Emitter &e, Value column) {
      e.store(e.load(matrix, ValueRange{row, column}), copy,
              ValueRange{row, column});
    });
  });
  return copy;
}

void moe::emitTrace(Emitter &e, StringRef kind, StringRef phase,
                    ValueRange routing) {
  SmallVector<Value> buffers;
  for (Value buffer : routing)
    buffers.push_back(withoutGaps(e, buffer));
  moert::TraceOp::create(e, e.getStringAttr(kind), e.getStringAttr(phase),
                        buffers);
}

/// Below this many bytes a second thread costs more than it brings.
static constexpr int64_t kItemBytes = 65536;

int64_t moe::unitsOfItem(int64_t bytes) {
  return kItemBytes / std::max<int64_t>(1, bytes);
}

Value moe::emitItemSize(Emitter &e, Value units, int64_t minimum) {
  Value threads = moert::NumThreadsOp::create(e, e.getIndexType());
  return e.max(e.idx(std::max<int64_t>(1, minimum)),
               e.ceilDiv(units, e.mul(threads, 4)));
}

void moe::emitGatherRows(Emitter &e, Value src, Value tokens, Value weights,
                         Value begin, Value end, int64_t k, Value dst) {
  auto dstType = cast<MemRefType>(dst.getType());
  auto srcType = cast<MemRefType>(src.getType());
  VectorType readType = e.vec(16, srcType.getElementType());
  VectorType writeType = e.vec(16, dstType.getElementType());
  Value rows = e.sub(end, begin);
  Value size = emitItemSize(e, rows, unitsOfItem(k * 4));
  e.parallel(e.ceilDiv(rows, size), [&](Emitter &e, Value item) {
    Value first = e.add(begin, e.mul(item, size));
    Value last = e.min(e.add(first, size), end);
    e.loop(first, last, 1, [&](Emitter &e, Value r) {
      Value from = tokens ? e.loadIndex(tokens, ValueRange{r}) : r;
      Value weight;
      if (weights)
        weight = e.splat(e.load(weights, ValueRange{r}), e.vecF32());
      auto copy = [&](Emitter &e, Value column, Value mask) {
        Value v;
        if (mask)
          v = vector::MaskedLoadOp::create(e, readType, src,
                                           ValueRange{from, column}, mask,
                                           e.zeros(readType));
        else
          v = vector::LoadOp::create(e, readType, src,
                                     ValueRange{from, column});
        if (weight) {
          if (v.getType() != weight.getType())
            v = arith::ExtFOp::create(e, weight.getType(), v);
          v = arith::MulFOp::create(e, v, weight);
        }
        // Between types of 16 bits, too, by way of f32.
        if (v.getType() != writeType &&
            !isa<Float32Type>(getElementTypeOrSelf(v)))
          v = arith::ExtFOp::create(e, e.vecF32(), v);
        if (v.getType() != writeType)
          v = arith::TruncFOp::create(e, writeType, v);
        // The padded row has room for the whole last vector; a plain row of
        // moek.gather has not.
        if (mask && dstType.getDimSize(1) < (k + 15) / 16 * 16)
          vector::MaskedStoreOp::create(e, dst, ValueRange{r, column}, mask, v);
        else
          vector::StoreOp::create(e, v, dst, ValueRange{r, column});
      };
      e.loop(e.idx(0), e.idx(k / 16 * 16), 16,
             [&](Emitter &e, Value column) { copy(e, column, Value()); });
      if (k % 16 != 0) {
        Value mask = vector::CreateMaskOp::create(
            e, e.vec(16, e.getI1Type()), ValueRange{e.idx(k % 16)});
        copy(e, e.idx(k / 16 * 16), mask);
      }
    });
  });
}

//===----------------------------------------------------------------------===//
// Combine
//===----------------------------------------------------------------------===//

namespace {
/// The rows of one token that a combine adds up, in order, with their weights.
struct SlotList {
  Value rows,
      weights; ///< On the stack, `[K]`; what is behind `count` is undefined.
  Value count;
};
} // namespace

/// Reads the slots of `token` into `list`: those with one of the `here` rows
/// from `first` on (0 if null), sorted by row. No branch depends on which they
/// are.
static void emitSlotList(Emitter &e, const RowSums &sums, Value token,
                         Value first, Value here, Value unsorted,
                         Value unsortedWeights, SlotList &list) {
  int64_t slots = cast<MemRefType>(sums.positions.getType()).getDimSize(1);
  VectorType type = e.vec(16, e.getI32Type());
  // As unsigned numbers, what is not here is above all that is.
  Value beyond = e.splat(e.i32(-1), type);
  e.loop(e.idx(0), e.idx(slots), 16, [&](Emitter &e, Value slot) {
    vector::StoreOp::create(e, beyond, unsorted, ValueRange{slot});
  });
  auto gather =
      scf::ForOp::create(e, e.idx(0), e.idx(slots), e.idx(1), e.idx(0));
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(gather.getBody());
    Value slot = gather.getInductionVar(), count = gather.getRegionIterArg(0);
    Value row = e.load(sums.positions, ValueRange{token, slot});
    if (first)
      row = e.sub(row, first);
    Value used = e.lt(row, here);
    e.store(e.select(used, row, e.i32(-1)), unsorted, ValueRange{count});
    if (sums.slotWeights)
      e.store(e.load(sums.slotWeights, ValueRange{token, slot}),
              unsortedWeights, ValueRange{count});
    scf::YieldOp::create(e, ValueRange{e.select(used, e.add(count, 1), count)});
  }
  list.count = gather.getResult(0);
  if (slots == 1) {
    list.rows = unsorted;
    list.weights = unsortedWeights;
    return;
  }
  Value vectors = e.mul(e.ceilDiv(list.count, 16), 16);
  Value zeros = e.zeros(type), ones = e.splat(e.i32(1), type);
  e.loop(list.count, [&](Emitter &e, Value i) {
    Value row = e.load(unsorted, ValueRange{i});
    Value splat = e.splat(row, type);
    auto below = scf::ForOp::create(e, e.idx(0), vectors, e.idx(16), zeros);
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(below.getBody());
      Value others = vector::LoadOp::create(
          e, type, unsorted, ValueRange{below.getInductionVar()});
      Value sum = e.add(below.getRegionIterArg(0),
                        e.select(e.lt(others, splat), ones, zeros));
      scf::YieldOp::create(e, sum);
    }
    Value rank = e.toIndex(vector::ReductionOp::create(
        e, vector::CombiningKind::ADD, below.getResult(0)));
    e.store(row, list.rows, ValueRange{rank});
    if (sums.slotWeights)
      e.store(e.load(unsortedWeights, ValueRange{i}), list.weights,
              ValueRange{rank});
  });
}

void moe::emitCombineRows(Emitter &e, const RowSums &sums) {
  int64_t n = sums.n;
  Value out = sums.out;
  int64_t slots = cast<MemRefType>(sums.positions.getType()).getDimSize(1);
  Value tokens = e.dim(out, 0);
  // Few tokens are shared out by columns, many by tokens.
  constexpr int64_t columnsPerItem = 1024;
  int64_t columnItems = (n + columnsPerItem - 1) / columnsPerItem;
  Value threads = moert::NumThreadsOp::create(e, e.getIndexType());
  Value few = e.lt(tokens, e.mul(threads, 4));
  int64_t unitBytes =
      std::max<int64_t>(1, std::min(n, columnsPerItem) * 4 * (slots + 1));
  Value parts = e.select(few, e.idx(columnItems), e.idx(1));
  Value size = e.select(
      few,
      e.max(e.idx(1), e.ceilDiv(e.idx(kItemBytes), e.idx(unitBytes))),
      emitItemSize(e, tokens, unitsOfItem(n * 4 * (slots + 1))));
  Value tokenItems = e.ceilDiv(tokens, size);
  Value here = e.toI32(e.dim(sums.rows, 0)), first, isFirst, isLast;
  if (sums.firstRow) {
    first = e.toI32(sums.firstRow);
    isFirst = e.eq(sums.firstRow, e.idx(0));
    Value end = e.add(sums.firstRow, e.dim(sums.rows, 0));
    isLast = e.cmp(arith::CmpIPredicate::uge, end, sums.numRows);
  }
  e.parallel(e.mul(tokenItems, parts), [&](Emitter &e, Value item) {
    Value part = e.rem(item, parts), block = e.div(item, parts);
    Value firstToken = e.mul(block, size);
    Value lastToken = e.min(e.add(firstToken, size), tokens);
    // Whole groups of 16 columns; the rest of n belongs to the last part.
    Value groups = e.idx(n / 16);
    Value firstColumn = e.mul(e.div(e.mul(part, groups), parts), 16);
    Value lastColumn =
        e.mul(e.div(e.mul(e.add(part, 1), groups), parts), 16);
    auto allocate = [&](Type element) -> Value {
      auto type = MemRefType::get({(slots + 15) / 16 * 16}, element);
      return memref::AllocaOp::create(e, type, e.getI64IntegerAttr(64));
    };
    Value unsorted = allocate(e.getI32Type()), unsortedWeights;
    SlotList list{allocate(e.getI32Type()), Value(), Value()};
    if (sums.slotWeights) {
      unsortedWeights = allocate(e.getF32Type());
      list.weights = allocate(e.getF32Type());
    }
    // The sums of `width` groups of 16 columns stay in registers over the slots.
    auto sum = [&](Emitter &e, Value token, Value column, int64_t width,
                   Value mask) {
      VectorType type = e.vecF32();
      Value zeros = e.zeros(type);
      SmallVector<Value> columns;
      for (int64_t g = 0; g < width; ++g)
        columns.push_back(e.add(column, 16 * g));
      auto read = [&](Value memref, Value row, Value column) -> Value {
        if (mask)
          return vector::MaskedLoadOp::create(
              e, type, memref, ValueRange{row, column}, mask, zeros);
        return vector::LoadOp::create(e, type, memref,
                                      ValueRange{row, column});
      };
      // `values`, or what `make` says if `condition` holds.
      auto unless = [&](Value condition, ArrayRef<Value> values,
                        function_ref<Value(Value, Value)> make) {
        SmallVector<Type> types(width, type);
        auto choice = scf::IfOp::create(e, types, condition, true);
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToStart(choice.thenBlock());
        scf::YieldOp::create(e, values);
        e.setInsertionPointToStart(choice.elseBlock());
        SmallVector<Value> made;
        for (auto [value, column] : llvm::zip(values, columns))
          made.push_back(make(value, column));
        scf::YieldOp::create(e, made);
        return SmallVector<Value>(choice.getResults());
      };
      SmallVector<Value> start(width, zeros);
      if (isFirst)
        start = unless(isFirst, start, [&](Value, Value column) {
          return read(out, token, column);
        });
      auto overSlots =
          scf::ForOp::create(e, e.idx(0), list.count, e.idx(1), start);
      {
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToStart(overSlots.getBody());
        Value slot = overSlots.getInductionVar();
        Value row = e.loadIndex(list.rows, ValueRange{slot});
        Value weight = e.splat(
            list.weights ? e.load(list.weights, ValueRange{slot}) : e.f32(1.0),
            type);
        SmallVector<Value> next;
        for (auto [acc, column] :
             llvm::zip(overSlots.getRegionIterArgs(), columns))
          next.push_back(vector::FMAOp::create(
              e, weight, read(sums.rows, row, column), acc));
        scf::YieldOp::create(e, next);
      }
      SmallVector<Value> results(overSlots.getResults());
      auto addInit = [&](Value value, Value column) -> Value {
        return arith::AddFOp::create(e, value, read(sums.init, token, column));
      };
      if (sums.init && isLast) {
        Value isEarly = arith::XOrIOp::create(
            e, isLast, arith::ConstantIntOp::create(e, 1, 1));
        results = unless(isEarly, results, addInit);
      } else if (sums.init) {
        for (auto [value, column] : llvm::zip(results, columns))
          value = addInit(value, column);
      }
      for (auto [value, column] : llvm::zip(results, columns)) {
        if (mask)
          vector::MaskedStoreOp::create(e, out, ValueRange{token, column},
                                        mask, value);
        else
          vector::StoreOp::create(e, value, out, ValueRange{token, column});
      }
    };
    auto sumToken = [&](Emitter &e, Value token) {
      constexpr int64_t wide = 4;
      Value wideEnd = e.add(
          firstColumn,
          e.mul(e.div(e.sub(lastColumn, firstColumn), 16 * wide), 16 * wide));
      e.loop(firstColumn, wideEnd, 16 * wide, [&](Emitter &e, Value column) {
        sum(e, token, column, wide, Value());
      });
      e.loop(wideEnd, lastColumn, 16, [&](Emitter &e, Value column) {
        sum(e, token, column, 1, Value());
      });
      if (n % 16 != 0)
        e.ifThen(e.eq(e.add(part, 1), parts), [&](Emitter &e) {
          Value mask = vector::CreateMaskOp::create(
              e, e.vec(16, e.getI1Type()), ValueRange{e.idx(n % 16)});
          sum(e, token, e.idx(n / 16 * 16), 1, mask);
        });
    };
    e.loop(firstToken, lastToken, 1, [&](Emitter &e, Value token) {
      emitSlotList(e, sums, token, first, here, unsorted, unsortedWeights,
                   list);
      if (!isFirst)
        return sumToken(e, token);
      // Between the first and the last window only those with rows change.
      Value changes = arith::OrIOp::create(
          e, arith::OrIOp::create(e, isFirst, isLast),
          e.cmp(arith::CmpIPredicate::ne, list.count, e.idx(0)));
      e.ifThen(changes, [&](Emitter &e) { sumToken(e, token); });
    });
  });
}

LogicalResult moe::lowerGather(Emitter &e, moek::GatherOp op) {
  auto offsetsType = cast<MemRefType>(op.getOffsets().getType());
  Value rows = e.loadIndex(op.getOffsets(),
                           ValueRange{e.idx(offsetsType.getDimSize(0) - 1)});
  emitTrace(e, "begin", "gather");
  emitGatherRows(e, op.getX(), op.getTokens(), op.getRowWeights(), e.idx(0), rows,
                 cast<MemRefType>(op.getX().getType()).getDimSize(1),
                 op.getOutputs()[0]);
  emitTrace(e, "end", "gather");
  return success();
}

LogicalResult moe::lowerCombine(Emitter &e, moek::CombineOp op) {
  if (!getElementTypeOrSelf(op.getRows().getType()).isF32())
    return op.emitOpError("sums rows of f32 on CPUs, not of ")
           << getElementTypeOrSelf(op.getRows().getType());
  emitTrace(e, "begin", "combine");
  Value out = op.getOutputs()[0];
  emitCombineRows(e, {op.getRows(), op.getPositions(), op.getSlotWeights(),
                      op.getInit(), op.getFirstRow(), op.getNumRows(), out,
                      cast<MemRefType>(out.getType()).getDimSize(1)});
  emitTrace(e, "end", "combine");
  return success();
}
