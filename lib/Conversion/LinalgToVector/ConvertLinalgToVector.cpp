//===- ConvertLinalgToVector.cpp - Linalg to parallel vectors ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Collects linalg ops of a block into groups and writes each group as one
// parallel loop over tiles.
//
//===----------------------------------------------------------------------===//

#include "LoopGroup.h"
#include "LoopNest.h"

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTLINALGTOVECTOR
#include "moe-mlir/Conversion/LinalgToVector/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

/// Whether an op between the members of a group can stay before the group.
static bool canPrecede(Operation *op) {
  return isPure(op) || isa<memref::AllocOp, memref::AllocaOp>(op) ||
         isa<ViewLikeOpInterface>(op);
}

static bool isLowerable(Operation *op) {
  auto linalgOp = dyn_cast<LinalgOp>(op);
  if (!linalgOp || !linalgOp.hasPureBufferSemantics())
    return false;
  // A reduction that walks over an output has no accumulator to keep.
  for (auto [loop, type] : llvm::enumerate(linalgOp.getIteratorTypesArray()))
    for (OpOperand &output : linalgOp.getDpsInitsMutable())
      if (type == utils::IteratorType::reduction &&
          linalgOp.getMatchingIndexingMap(&output).isFunctionOfDim(loop))
        return false;
  return llvm::all_of(op->getOperandTypes(), [](Type type) {
    return isa<MemRefType>(type) || !isa<ShapedType>(type);
  });
}

/// Moves fills to the first op that reads or writes what they fill, so that
/// they do not stand between ops that belong together.
static void sinkFills(Block &block) {
  for (linalg::FillOp fill : llvm::to_vector(block.getOps<linalg::FillOp>())) {
    if (!fill.hasPureBufferSemantics())
      continue;
    Value root = getRoot(fill.output());
    for (Operation *next = fill->getNextNode(); next;
         next = next->getNextNode()) {
      if (isa<ViewLikeOpInterface>(next))
        continue;
      bool touches = next->hasTrait<OpTrait::IsTerminator>() ||
                     llvm::any_of(getAccessedMemRefs(next), [&](Value memref) {
                       Value other = getRoot(memref);
                       return !root || !other || root == other;
                     });
      if (!touches)
        continue;
      fill->moveBefore(next);
      break;
    }
  }
}

/// The values reductions start from, for those outputs that one of `fills`
/// fills; such fills are erased.
static SmallVector<Value> takeInitials(LinalgOp op,
                                       SmallVectorImpl<linalg::FillOp> &fills) {
  SmallVector<Value> initials(op.getNumDpsInits());
  if (op.getNumReductionLoops() == 0)
    return initials;
  auto take = [&](linalg::FillOp fill) {
    for (unsigned i = 0; i < initials.size(); ++i) {
      OpOperand &output = *op.getDpsInitOperand(i);
      AffineMap map = op.getMatchingIndexingMap(&output);
      auto type = cast<MemRefType>(output.get().getType());
      Value root = getRoot(output.get());
      if (initials[i] || fill.output() != output.get() || !root ||
          !map.isProjectedPermutation() ||
          fill.value().getType() != type.getElementType())
        continue;
      // Nothing else of the op may see the fill.
      if (llvm::count_if(getAccessedMemRefs(op), [&](Value memref) {
            Value other = getRoot(memref);
            return !other || other == root;
          }) != 1)
        continue;
      initials[i] = fill.value();
      fill.erase();
      return true;
    }
    return false;
  };
  llvm::erase_if(fills, take);
  return initials;
}

namespace {
struct ConvertLinalgToVector
    : moe::impl::ConvertLinalgToVectorBase<ConvertLinalgToVector> {
  using ConvertLinalgToVectorBase::ConvertLinalgToVectorBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    copiesToLinalg(function);
    SmallVector<Block *> blocks;
    function.walk([&](Operation *op) {
      if (isa<LinalgOp>(op))
        return;
      for (Region &region : op->getRegions())
        for (Block &block : region)
          if (llvm::any_of(
                  block, [](Operation &inner) { return isLowerable(&inner); }))
            blocks.push_back(&block);
    });
    for (Block *block : blocks)
      convert(*block);
  }

  /// Copies between contiguous memrefs would run as memcpy on one thread, and
  /// others have no lowering but loops.
  void copiesToLinalg(func::FuncOp function) {
    SmallVector<memref::CopyOp> copies;
    function.walk([&](memref::CopyOp copy) {
      auto source = dyn_cast<MemRefType>(copy.getSource().getType());
      auto target = dyn_cast<MemRefType>(copy.getTarget().getType());
      if (source && target && source.getRank() > 0)
        copies.push_back(copy);
    });
    for (memref::CopyOp copy : copies) {
      OpBuilder b(copy);
      if (copy.getSource() != copy.getTarget())
        linalg::CopyOp::create(b, copy.getLoc(), copy.getSource(),
                               copy.getTarget());
      copy.erase();
    }
  }

  void convert(Block &block) {
    sinkFills(block);
    bool inParallel = !parallel;
    for (Operation *op = block.getParentOp(); op; op = op->getParentOp())
      inParallel |= isa<scf::ParallelOp, scf::ForallOp>(op);
    LoopGroup group;
    auto flush = [&] {
      if (!group.empty())
        emit(group, inParallel);
      group.clear();
    };
    auto add = [&](LinalgOp op, ArrayRef<Value> initials) {
      if (fuse && !group.empty() && group.tryAdd(op, initials))
        return;
      flush();
      group.start(op, initials);
    };
    // Fills right before the op that uses them wait for it.
    SmallVector<linalg::FillOp> fills;
    auto addFills = [&] {
      for (linalg::FillOp fill : fills)
        add(fill, Value());
      fills.clear();
    };
    for (Operation *op = &block.front(); op;) {
      // Emission erases members, never what follows.
      Operation *next = op->getNextNode();
      auto fill = dyn_cast<linalg::FillOp>(op);
      if (fill && isLowerable(fill)) {
        fills.push_back(fill);
      } else if (isLowerable(op)) {
        SmallVector<Value> initials = takeInitials(cast<LinalgOp>(op), fills);
        addFills();
        add(cast<LinalgOp>(op), initials);
      } else if (!canPrecede(op)) {
        addFills();
        flush();
      }
      op = next;
    }
    addFills();
    flush();
  }

  void emit(LoopGroup &group, bool inParallel) {
    MutableArrayRef<LoopGroup::Member> members = group.getMembers();
    OpBuilder b(members.back().op);
    Location loc = members.front().op.getLoc();
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);

    SmallVector<SmallVector<Span>> spans;
    for (LoopGroup::Member &member : members) {
      auto &own = spans.emplace_back();
      for (Range range : member.op.createLoopRanges(b, member.op.getLoc()))
        own.push_back({zero, range.size});
    }

    // Tiles of the shared dimensions. A dimension of one tile needs no loop.
    unsigned shared = group.getNumShared();
    SmallVector<Value> lower, upper, step;
    SmallVector<unsigned> tiled;
    SmallVector<int64_t> tiles;
    if (!inParallel && !group.isTiny()) {
      tiles = group.getTileSizes();
      for (unsigned i = 0; i < shared; ++i) {
        OpFoldResult size = spans.front()[members.front().loops[i]].size;
        auto extent = getConstantIntValue(size);
        if (extent && *extent <= tiles[i])
          continue;
        tiled.push_back(i);
        lower.push_back(zero);
        upper.push_back(getValueOrCreateConstantIndexOp(b, loc, size));
        step.push_back(arith::ConstantIndexOp::create(b, loc, tiles[i]));
      }
    }
    if (!tiled.empty()) {
      auto loop = scf::ParallelOp::create(b, loc, lower, upper, step);
      b.setInsertionPointToStart(loop.getBody());
      for (auto [k, i] : llvm::enumerate(tiled)) {
        Value variable = loop.getInductionVars()[k];
        auto extent = getConstantIntValue(upper[k]);
        OpFoldResult size = b.getIndexAttr(tiles[i]);
        if (tiles[i] != 1 && (!extent || *extent % tiles[i] != 0)) {
          Value left = b.createOrFold<arith::SubIOp>(loc, upper[k], variable);
          size = b.createOrFold<arith::MinUIOp>(loc, left, step[k]);
        }
        for (auto &&[member, own] : llvm::zip_equal(members, spans))
          own[member.loops[i]] = {variable, size};
      }
    }
    for (auto &&[member, own] : llvm::zip_equal(members, spans))
      emitLoopNest(b, member.op, own, NestPlan::get(member.op, wide),
                   member.initials);
    for (LoopGroup::Member &member : members)
      member.op->erase();
  }
};
} // namespace
