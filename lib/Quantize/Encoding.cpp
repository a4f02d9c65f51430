//===- Encoding.cpp - From values to formats of weights --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Encoding.h"
#include "Encoders.h"

#include "mlir/IR/DialectRegistry.h"

#include "moe-mlir/Quantize/EncodingInterface.cpp.inc"

void moe::quantize::registerEncoders(mlir::DialectRegistry &registry) {
  registry.insert<MoeDialect>();
  registry.addExtension(+[](mlir::MLIRContext *context, MoeDialect *) {
    attachBlockEncoders(context);
    attachMinimumEncoders(context);
    attachScaleEncoders(context);
    attachE2M1Encoders(context);
    attachRowEncoders(context);
    attachSparseEncoders(context);
  });
}
