//===- LoopGroup.cpp - Linalg ops that share a parallel loop ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Dependences between ops are looked at per memref: a dimension can be shared
// when both ops walk the same dimension of that memref with it.
//
//===----------------------------------------------------------------------===//

#include "LoopGroup.h"

#include "LoopNest.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

Value moe::linalg_to_vector::getRoot(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    if (isa<memref::AllocOp, memref::AllocaOp, memref::GetGlobalOp>(op))
      return memref;
    if (auto view = dyn_cast<ViewLikeOpInterface>(op)) {
      memref = view.getViewSource();
      continue;
    }
    return {};
  }
  // Arguments of entry functions never overlap; others may be anything.
  auto argument = cast<BlockArgument>(memref);
  auto function =
      dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  return function && function.isPublic() ? memref : Value();
}

SmallVector<Value> moe::linalg_to_vector::getAccessedMemRefs(Operation *op) {
  SmallVector<Value> memrefs;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<BaseMemRefType>(operand.getType()))
        memrefs.push_back(operand);
  });
  return memrefs;
}

namespace {
struct Access {
  Value memref;
  /// Null when the indices are not those of loops.
  AffineMap map;
  bool writes;
};
} // namespace

static SmallVector<Access> getAccesses(LinalgOp op) {
  SmallVector<Access> accesses;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<BaseMemRefType>(operand.get().getType()))
      continue;
    bool writes = op.isDpsInit(&operand);
    if (writes || op.payloadUsesValueFromOperand(&operand))
      accesses.push_back(
          {operand.get(), op.getMatchingIndexingMap(&operand), writes});
  }
  // A body only loads.
  op.getBlock()->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<BaseMemRefType>(operand.getType()))
        accesses.push_back({operand, AffineMap(), /*writes=*/false});
  });
  return accesses;
}

static bool isParallel(LinalgOp op, unsigned loop) {
  return op.getIteratorTypesArray()[loop] == utils::IteratorType::parallel;
}

/// The loops of `later` that walk `memref` as `loop` of `earlier` does.
static std::optional<unsigned> matchLoop(const Access &earlier, unsigned loop,
                                         const Access &later, LinalgOp op) {
  if (!earlier.map || !later.map || earlier.memref != later.memref)
    return std::nullopt;
  for (auto [from, to] :
       llvm::zip_equal(earlier.map.getResults(), later.map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(from);
    auto other = dyn_cast<AffineDimExpr>(to);
    if (dim && other && dim.getPosition() == loop &&
        isParallel(op, other.getPosition()))
      return other.getPosition();
  }
  return std::nullopt;
}

void LoopGroup::start(LinalgOp op, ArrayRef<Value> initials) {
  members.clear();
  Member member{op, {}, llvm::to_vector(initials)};
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
    if (isParallel(op, loop))
      member.loops.push_back(loop);
  members.push_back(std::move(member));
}

bool LoopGroup::tryAdd(LinalgOp op, ArrayRef<Value> initials) {
  unsigned shared = getNumShared();
  // Per shared dimension: its loop in `op`, if all dependences agree.
  SmallVector<std::optional<unsigned>> loops(shared);
  SmallVector<bool> dropped(shared, false);
  bool depends = false;
  SmallVector<Access> accesses = getAccesses(op);
  for (Member &member : members)
    for (const Access &earlier : getAccesses(member.op))
      for (const Access &later : accesses) {
        if (!earlier.writes && !later.writes)
          continue;
        Value root = getRoot(earlier.memref);
        Value other = getRoot(later.memref);
        if (root && other && root != other)
          continue;
        depends = true;
        for (unsigned i = 0; i < shared; ++i) {
          auto loop = matchLoop(earlier, member.loops[i], later, op);
          if (!loop || (loops[i] && *loops[i] != *loop))
            dropped[i] = true;
          else
            loops[i] = loop;
        }
      }
  if (!depends)
    return false;
  SmallVector<unsigned> kept;
  for (unsigned i = 0; i < shared; ++i)
    if (!dropped[i] && loops[i])
      kept.push_back(i);
  if (kept.empty())
    return false;

  // Sharing must not take the parallelism of what is expensive.
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  int64_t tiles = 1;
  for (unsigned i : kept)
    if (int64_t extent = extents[*loops[i]]; !ShapedType::isDynamic(extent))
      tiles *= extent;
  constexpr int64_t kEnough = 8;
  auto suffers = [&](LinalgOp candidate) {
    return isContraction(candidate) && tiles < kEnough &&
           candidate.getNumParallelLoops() > kept.size();
  };
  if (suffers(op) ||
      llvm::any_of(members, [&](Member &member) { return suffers(member.op); }))
    return false;

  for (Member &member : members) {
    SmallVector<unsigned> left;
    for (unsigned i : kept)
      left.push_back(member.loops[i]);
    member.loops = std::move(left);
  }
  Member member{op, {}, llvm::to_vector(initials)};
  for (unsigned i : kept)
    member.loops.push_back(*loops[i]);
  members.push_back(std::move(member));
  return true;
}

SmallVector<int64_t> LoopGroup::getTileSizes() {
  unsigned shared = getNumShared();
  Member &first = members.front();
  SmallVector<int64_t> extents = first.op.getStaticLoopRanges();
  auto extent = [&](unsigned i) { return extents[first.loops[i]]; };
  SmallVector<int64_t> tiles(shared, 0);
  auto bound = [&](unsigned i, int64_t size) {
    tiles[i] = tiles[i] ? std::min(tiles[i], size) : size;
  };

  bool contraction = false;
  for (Member &member : members) {
    if (!isContraction(member.op))
      continue;
    contraction = true;
    // Rows of either input that stay in the cache while the others pass.
    int64_t depth = 1;
    SmallVector<int64_t> own = member.op.getStaticLoopRanges();
    for (unsigned loop = 0; loop < own.size(); ++loop)
      if (!isParallel(member.op, loop))
        depth *= ShapedType::isDynamic(own[loop]) ? 1024 : own[loop];
    for (unsigned i = 0; i < shared; ++i) {
      unsigned loop = member.loops[i];
      bool batch = llvm::all_of(member.op->getOpOperands(), [&](OpOperand &o) {
        return !isa<MemRefType>(o.get().getType()) ||
               member.op.getMatchingIndexingMap(&o).isFunctionOfDim(loop);
      });
      if (batch)
        bound(i, 1);
      else if (ShapedType::isDynamic(own[loop]))
        bound(i, 32);
      else
        bound(i,
              std::clamp<int64_t>(
                  (int64_t(1) << 16) / std::max<int64_t>(1, depth), 16, 128));
    }
  }
  if (contraction)
    return tiles;

  // Elementwise and per row: enough elements to pay for a hand-over.
  constexpr int64_t kElements = 8192;
  int64_t inner = 1;
  for (Member &member : members) {
    int64_t own = 1;
    for (auto [loop, size] : llvm::enumerate(member.op.getStaticLoopRanges()))
      if (!llvm::is_contained(member.loops, loop))
        own *= ShapedType::isDynamic(size) ? 256 : std::max<int64_t>(1, size);
    inner = std::max(inner, own);
  }
  for (unsigned i = shared; i-- > 0;) {
    int64_t size = std::max<int64_t>(1, kElements / inner);
    if (!ShapedType::isDynamic(extent(i)))
      size = std::min(size, std::max<int64_t>(1, extent(i)));
    tiles[i] = size;
    inner *= size;
  }
  return tiles;
}

bool LoopGroup::isTiny() {
  constexpr int64_t kTiny = 16384;
  int64_t total = 0;
  for (Member &member : members) {
    int64_t own = 1;
    for (int64_t size : member.op.getStaticLoopRanges()) {
      if (ShapedType::isDynamic(size))
        return false;
      own *= size;
    }
    total += own;
  }
  return total < kTiny;
}
