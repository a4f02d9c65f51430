//===- Weighings.cpp - Weighings in float64 ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The reference model of each weighing of `moe`.
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

struct SoftmaxModel
    : ReferenceWeighingAttrInterface::ExternalModel<SoftmaxModel, SoftmaxAttr> {
  void weigh(Attribute, MutableArrayRef<double> values) const {
    softmax(values);
  }
};

struct SigmoidModel
    : ReferenceWeighingAttrInterface::ExternalModel<SigmoidModel, SigmoidAttr> {
  void weigh(Attribute, MutableArrayRef<double> values) const {
    for (double &v : values)
      v = sigmoid(v);
  }
};

struct NormalizeModel
    : ReferenceWeighingAttrInterface::ExternalModel<NormalizeModel,
                                                    NormalizeAttr> {
  void weigh(Attribute attribute, MutableArrayRef<double> values) const {
    auto normalize = cast<NormalizeAttr>(attribute);
    double value = normalize.getValue();
    switch (normalize.getKind()) {
    case NormalizeKind::Sum:
      return normalizeSum(values, value);
    case NormalizeKind::Clamp:
      return normalizeClamp(values, value);
    case NormalizeKind::PNorm:
      return normalizeP(values, value);
    }
  }
};

struct ScaleModel
    : ReferenceWeighingAttrInterface::ExternalModel<ScaleModel, ScaleAttr> {
  void weigh(Attribute attribute, MutableArrayRef<double> values) const {
    double factor = cast<ScaleAttr>(attribute).getFactor();
    for (double &v : values)
      v *= factor;
  }
};

} // namespace

void attachWeighingModels(MLIRContext *context) {
  SoftmaxAttr::attachInterface<SoftmaxModel>(*context);
  SigmoidAttr::attachInterface<SigmoidModel>(*context);
  NormalizeAttr::attachInterface<NormalizeModel>(*context);
  ScaleAttr::attachInterface<ScaleModel>(*context);
}

} // namespace moe::reference
