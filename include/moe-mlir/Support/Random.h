//===- Random.h - Reproducible random tensors ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Values are a hash of (seed, tensor name, linear index): the same on every
// machine, for any number of threads, and for any part of a tensor.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_RANDOM_H
#define MOE_MLIR_SUPPORT_RANDOM_H

#include "moe-mlir/Support/HostTensor.h"

namespace moe {

/// Fills with values uniform in [-scale, scale). Floats of every type are
/// roundings of the same f32 value. Integers are uniform over the integers in
/// [-scale, scale] (U8: of [0, scale]), I1 is a fair coin. `first` is the index
/// of the tensor's first element in the whole, when it is a part of one.
void fillRandom(HostTensor &tensor, uint64_t seed, double scale,
                uint64_t first = 0);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_RANDOM_H
