//===- Activations.cpp - Activations in float64 -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The reference model of each activation of `moe`, and the registration of all
// reference models.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "SpecMath.h"
#include "mlir/IR/DialectRegistry.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

#include "moe-mlir/Reference/ReferenceInterfaces.cpp.inc"

namespace moe::reference {

namespace {

double relu2(double v) { return relu(v) * relu(v); }
double hyperbolicTangent(double v) { return std::tanh(v); }
double identity(double v) { return v; }

/// act(gate) * up, or act(up).
template <typename AttrT, double (*act)(double)>
struct SimpleModel
    : ReferenceActivationAttrInterface::ExternalModel<SimpleModel<AttrT, act>,
                                                      AttrT> {
  double activate(Attribute, ArrayRef<double> args) const {
    return args.size() == 2 ? act(args[0]) * args[1] : act(args[0]);
  }
};

/// Like that for v (1 + f(v)) / 2 with an f from -1 to 1, which cancels.
template <typename AttrT, double (*act)(double)>
struct GeluModel
    : ReferenceActivationAttrInterface::ExternalModel<GeluModel<AttrT, act>,
                                                      AttrT> {
  double activate(Attribute, ArrayRef<double> args) const {
    return args.size() == 2 ? act(args[0]) * args[1] : act(args[0]);
  }
  double magnitude(Attribute, ArrayRef<double> args) const {
    return args.size() == 2 ? args[0] * args[1] : args[0];
  }
};

struct ClampedSwigluModel
    : ReferenceActivationAttrInterface::ExternalModel<ClampedSwigluModel,
                                                      ClampedSwigluAttr> {
  double activate(Attribute attribute, ArrayRef<double> args) const {
    auto swiglu = cast<ClampedSwigluAttr>(attribute);
    return clampedSwiglu(args.front(), args.back(), swiglu.getAlpha(),
                         swiglu.getLimit(), swiglu.getOffset());
  }
  double magnitude(Attribute attribute, ArrayRef<double> args) const {
    // The offset may cancel with up.
    auto swiglu = cast<ClampedSwigluAttr>(attribute);
    return clampedSwiglu(args.front(), std::fabs(args.back()),
                         swiglu.getAlpha(), swiglu.getLimit(),
                         std::fabs(swiglu.getOffset()));
  }
};

} // namespace

void attachActivationModels(MLIRContext *context) {
  SiluAttr::attachInterface<SimpleModel<SiluAttr, silu>>(*context);
  GeluAttr::attachInterface<GeluModel<GeluAttr, gelu>>(*context);
  GeluTanhAttr::attachInterface<GeluModel<GeluTanhAttr, geluTanh>>(*context);
  QuickGeluAttr::attachInterface<SimpleModel<QuickGeluAttr, quickGelu>>(
      *context);
  ReluAttr::attachInterface<SimpleModel<ReluAttr, relu>>(*context);
  Relu2Attr::attachInterface<SimpleModel<Relu2Attr, relu2>>(*context);
  TanhAttr::attachInterface<SimpleModel<TanhAttr, hyperbolicTangent>>(*context);
  IdentityAttr::attachInterface<SimpleModel<IdentityAttr, identity>>(*context);
  ClampedSwigluAttr::attachInterface<ClampedSwigluModel>(*context);
}

void registerReferenceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, MoeDialect *) {
    attachRouterModels(context);
    attachRaggedRouterModels(context);
    attachSinkhornModel(context);
    attachTokenRouterModels(context);
    attachWeighingModels(context);
    attachActivationModels(context);
    attachBalanceModels(context);
    attachFormatModels(context);
  });
}

} // namespace moe::reference
