//===- MoeDialect.cpp - The moe dialect ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Registration, and the interfaces the dialect offers to upstream passes.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"
#include "moe/Placement.h"
#include "moe/SkipZeros.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/FoldInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace moe;

#include "moe/MoeDialect.cpp.inc"
#include "moe/MoeInterfaces.cpp.inc"

namespace {

/// Bodies are cloned into kernels, so they keep their constants to themselves.
struct MoeFoldInterface : DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;

  bool shouldMaterializeInto(Region *) const final { return true; }
};

/// Calls inside a body can be inlined, and so can functions that hold layers.
struct MoeInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;

  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const final {
    return true;
  }
  bool isLegalToInline(Region *, Region *, bool, IRMapping &) const final {
    return true;
  }
};

} // namespace

void MoeDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "moe/MoeOps.cpp.inc"
      >();
  addInterfaces<MoeFoldInterface, MoeInlinerInterface>();
}

/// An order of all experts of the op.
static LogicalResult verifyPlacement(Operation *op, Attribute value) {
  auto fail = [&] {
    return op->emitOpError() << "`" << kPlacementAttrName << "` ";
  };
  auto experts = dyn_cast<ExpertOp>(op);
  if (!experts)
    return fail() << "is an attribute of moe.expert";
  int64_t count = experts.getRouting().getType().getExperts();
  auto order = dyn_cast<DenseI64ArrayAttr>(value);
  if (!order || order.size() != count)
    return fail() << "has to be an array<i64> of the " << count
                  << " experts, not " << value;
  llvm::SmallBitVector seen(count);
  for (int64_t expert : order.asArrayRef()) {
    if (expert < 0 || expert >= count || seen.test(expert))
      return fail() << "has to have each expert from 0 to " << count - 1
                    << " once; " << expert << " is "
                    << (expert < 0 || expert >= count ? "none of them"
                                                      : "there twice");
    seen.set(expert);
  }
  return success();
}

/// A share of the values of what a product multiplies.
static LogicalResult verifySkipZeros(Operation *op, Attribute value) {
  auto fail = [&] {
    return op->emitOpError() << "`" << kSkipZerosAttrName << "` ";
  };
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!isa<FFNOp>(op) &&
      !(linalgOp && linalg::isaContractionOpInterface(linalgOp)))
    return fail() << "is an attribute of moe.ffn and of matrix products";
  auto share = dyn_cast<FloatAttr>(value);
  if (!share || !share.getType().isF64() ||
      !(share.getValueAsDouble() > 0 && share.getValueAsDouble() <= 1))
    return fail() << "has to be an f64 above 0 and at most 1, not " << value;
  return success();
}

SmallVector<int64_t> moe::getReplicas(Operation *op, int64_t experts) {
  if (auto replicas = op->getAttrOfType<DenseI64ArrayAttr>(kReplicasAttrName))
    return SmallVector<int64_t>(replicas.asArrayRef());
  return SmallVector<int64_t>(experts, 1);
}

/// How many copies there are of each expert.
static LogicalResult verifyReplicas(Operation *op, Attribute value) {
  auto fail = [&] {
    return op->emitOpError() << "`" << kReplicasAttrName << "` ";
  };
  auto experts = dyn_cast<ExpertOp>(op);
  if (!experts)
    return fail() << "is an attribute of moe.expert";
  int64_t count = experts.getRouting().getType().getExperts();
  auto replicas = dyn_cast<DenseI64ArrayAttr>(value);
  if (!replicas || replicas.size() != count)
    return fail() << "has to be an array<i64> of the " << count
                  << " experts, not " << value;
  constexpr int64_t most = 1 << 16;
  for (int64_t copies : replicas.asArrayRef())
    if (copies < 1 || copies > most)
      return fail() << "has to have 1 to " << most << " copies of each expert, "
                    << "not " << copies;
  return success();
}

/// The shard of each copy of each expert.
static LogicalResult verifyShards(Operation *op, Attribute value) {
  auto fail = [&] {
    return op->emitOpError() << "`" << kShardsAttrName << "` ";
  };
  auto experts = dyn_cast<ExpertOp>(op);
  if (!experts)
    return fail() << "is an attribute of moe.expert";
  int64_t count = experts.getRouting().getType().getExperts();
  // An error of its own.
  if (Attribute replicas = op->getAttr(kReplicasAttrName))
    if (failed(verifyReplicas(op, replicas)))
      return failure();
  SmallVector<int64_t> replicas = getReplicas(op, count);
  int64_t copies =
      std::accumulate(replicas.begin(), replicas.end(), int64_t(0));
  auto shards = dyn_cast<DenseI64ArrayAttr>(value);
  if (!shards || shards.size() != copies)
    return fail() << "has to be an array<i64> of the " << copies
                  << " copies of experts, not " << value;
  int64_t largest = 0;
  for (int64_t shard : shards.asArrayRef()) {
    if (shard < 0 || shard >= copies)
      return fail() << "has to have shards from 0 to " << copies - 1 << ", not "
                    << shard;
    largest = std::max(largest, shard);
  }
  llvm::SmallBitVector used(largest + 1);
  ArrayRef<int64_t> rest = shards.asArrayRef();
  for (auto [expert, own] : llvm::enumerate(replicas)) {
    llvm::SmallBitVector seen(largest + 1);
    for (int64_t shard : rest.take_front(own)) {
      if (seen.test(shard))
        return fail() << "has expert " << expert << " in shard " << shard
                      << " twice; its copies have to be in different ones";
      seen.set(shard);
    }
    used |= seen;
    rest = rest.drop_front(own);
  }
  int unused = used.find_first_unset();
  if (unused >= 0)
    return fail() << "has nothing in shard " << unused << " of " << largest + 1;
  return success();
}

LogicalResult MoeDialect::verifyOperationAttribute(Operation *op,
                                                   NamedAttribute attribute) {
  if (attribute.getName() == getExternalAttrName())
    return verifyExternal(op, attribute.getValue());
  if (attribute.getName() == kPlacementAttrName)
    return verifyPlacement(op, attribute.getValue());
  if (attribute.getName() == kSkipZerosAttrName)
    return verifySkipZeros(op, attribute.getValue());
  if (attribute.getName() == kReplicasAttrName)
    return verifyReplicas(op, attribute.getValue());
  if (attribute.getName() == kShardsAttrName)
    return verifyShards(op, attribute.getValue());
  if (attribute.getName() != getCheckpointAttrName())
    return success();
  auto fail = [&] {
    return op->emitOpError() << "`" << getCheckpointAttrName() << "` ";
  };
  if (!isa<FunctionOpInterface>(op))
    return fail() << "is an attribute of functions";
  auto weights = dyn_cast<DictionaryAttr>(attribute.getValue());
  if (!weights)
    return fail() << "has to be a dictionary of strings, not "
                  << attribute.getValue();
  for (NamedAttribute weight : weights) {
    auto text = dyn_cast<StringAttr>(weight.getValue());
    if (!text)
      return fail() << "says of '" << weight.getName().getValue()
                    << "' what is no string: " << weight.getValue();
  }
  return success();
}
