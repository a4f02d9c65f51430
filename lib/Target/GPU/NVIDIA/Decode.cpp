//===- Decode.cpp - Layers for single tokens --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Decode.h"

#include "Kernels/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

using namespace mlir;
using namespace moe::nvidia;

using moek::GroupedMatmulOp;

/// The op that makes a value: its own, or the one that writes the memory.
static Operation *getMaker(Value value) {
  if (isa<TensorType>(value.getType()))
    return value.getDefiningOp();
  if (!value.getDefiningOp<memref::AllocOp>())
    return nullptr;
  Operation *maker = nullptr;
  for (OpOperand &use : value.getUses()) {
    auto op = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
    if (!op || !op.isDpsInit(&use))
      continue;
    if (maker && maker != op)
      return nullptr;
    maker = op;
  }
  return maker;
}

/// Whether no other op than these, and sizes, uses it.
static bool isUsedBy(Value value, ArrayRef<Operation *> users) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    // Wide forms that only their size is taken of.
    if (auto wide = dyn_cast<arith::ExtFOp>(user))
      return llvm::all_of(wide->getUsers(), llvm::IsaPred<tensor::DimOp>);
    return isa<memref::DimOp, tensor::DimOp>(user) ||
           llvm::is_contained(users, user);
  });
}

/// The rows that `op` rounds, element by element.
static Value getRounded(Operation *op) {
  if (auto rounding = dyn_cast_or_null<arith::TruncFOp>(op))
    return rounding.getIn();
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInputs() != 1 ||
      generic.getNumDpsInits() != 1 ||
      !llvm::all_of(generic.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return {};
  Block &body = *generic.getBody();
  auto rounding =
      body.getTerminator()->getOperand(0).getDefiningOp<arith::TruncFOp>();
  bool plain = rounding && rounding.getIn() == body.getArgument(0) &&
               body.getOperations().size() == 2;
  return plain ? generic.getDpsInputs()[0] : Value();
}

SmallVector<Operation *> DecodeChain::getOps() {
  SmallVector<Operation *> ops{router};
  if (rounding)
    ops.push_back(rounding);
  ops.append(
      {rows.getOperation(), sums.getOperation(), combine.getOperation()});
  llvm::sort(ops, [](Operation *a, Operation *b) {
    return a != b && a->isBeforeInBlock(b);
  });
  return ops;
}

std::optional<DecodeChain>
moe::nvidia::findDecodeChain(moek::CombineOp combine) {
  DecodeChain chain;
  chain.combine = combine;
  chain.sums = dyn_cast_or_null<GroupedMatmulOp>(getMaker(combine.getRows()));
  if (!chain.sums || combine.getFirstRow())
    return {};
  chain.rows = dyn_cast_or_null<GroupedMatmulOp>(getMaker(chain.sums.getLhs()));
  chain.router = getMaker(combine.getPositions());
  if (!chain.rows || !chain.router)
    return {};
  if (auto route = dyn_cast<moek::RouteOp>(chain.router))
    chain.routing = route.getRouting();
  else if (auto index = dyn_cast<moek::IndexOp>(chain.router))
    chain.routing = index.getRouting();
  else
    return {};
  // Of a route, what it makes are its results where they are tensors.
  if (isa<TensorType>(combine.getRows().getType())) {
    ValueRange made = chain.router->getResults();
    chain.routing = made.size() == std::size(moek::kRoutingParts)
                        ? moek::RoutingParts(made)
                        : moek::RoutingParts(chain.routing.indices,
                                             chain.routing.weights, made);
  }
  const moek::RoutingParts &routing = chain.routing;
  auto fits = [&](GroupedMatmulOp op) {
    return op.getOffsets() == routing.offsets && !op.getGatherWeights() &&
           !op.getTokens() && op.getGathered().empty() &&
           op.getRows().empty() && !op.getPositions() && !op.getFirstRow();
  };
  if (!fits(chain.rows) || !fits(chain.sums) ||
      chain.rows.getGather() != routing.tokens || chain.sums.getGather() ||
      combine.getPositions() != routing.positions)
    return {};
  SmallVector<Operation *> ops{chain.router, chain.rows, chain.sums, combine};
  if (!llvm::all_of(ops, [&](Operation *op) {
        return op->getBlock() == combine->getBlock();
      }))
    return {};
  for (Value own :
       {Value(combine.getRows()), Value(chain.sums.getLhs()), routing.offsets,
        routing.active, routing.tokens, routing.positions, routing.rowWeights})
    if (own && !isUsedBy(own, ops))
      return {};
  if (Value weights = combine.getSlotWeights();
      weights && !getElementTypeOrSelf(weights.getType()).isF32())
    return {};
  chain.slots = cast<ShapedType>(routing.indices.getType()).getDimSize(1);
  chain.experts = chain.rows.getNumExperts();
  if (chain.slots > kDecodeWarps || chain.rows.getParts() > 2 ||
      chain.sums.getParts() != 1)
    return {};

  chain.x = chain.rows.getLhs();
  Operation *maker = getMaker(chain.x);
  ops.push_back(maker);
  if (Value wide = getRounded(maker);
      wide && getElementTypeOrSelf(wide.getType()).isF32() &&
      maker->getBlock() == combine->getBlock() && isUsedBy(chain.x, ops)) {
    chain.rounding = maker;
    chain.x = wide;
  }
  return chain;
}
