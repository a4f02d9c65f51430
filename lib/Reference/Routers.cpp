//===- Routers.cpp - Selection policies in float64 --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The reference models of #moe.top_k and #moe.group_top_k.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "SpecMath.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

struct TopKModel
    : ReferencePolicyAttrInterface::ExternalModel<TopKModel, TopKAttr> {
  LogicalResult select(Attribute attribute, ArrayRef<double> scores,
                       SmallVectorImpl<int32_t> &slots) const {
    int64_t k = cast<TopKAttr>(attribute).getK();
    if (k > static_cast<int64_t>(scores.size()))
      return failure();
    selectTopK(scores, k, slots);
    return success();
  }
};

struct GroupTopKModel
    : ReferencePolicyAttrInterface::ExternalModel<GroupTopKModel,
                                                  GroupTopKAttr> {
  LogicalResult select(Attribute attribute, ArrayRef<double> scores,
                       SmallVectorImpl<int32_t> &slots) const {
    auto policy = cast<GroupTopKAttr>(attribute);
    int64_t experts = scores.size();
    bool isTop2 = policy.getReduce() == GroupReduce::Top2;
    if (policy.getGroups() < 1 || experts % policy.getGroups() != 0 ||
        policy.getKeep() > policy.getGroups() || policy.getK() > experts ||
        (isTop2 && experts / policy.getGroups() < 2))
      return failure();
    selectGroupTopK(scores, policy.getK(), policy.getGroups(), policy.getKeep(),
                    isTop2 ? GroupScore::Top2 : GroupScore::Max, slots);
    return success();
  }
};

} // namespace

void attachRouterModels(MLIRContext *context) {
  TopKAttr::attachInterface<TopKModel>(*context);
  GroupTopKAttr::attachInterface<GroupTopKModel>(*context);
}

} // namespace moe::reference
