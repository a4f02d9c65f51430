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

/// Where random values of a tensor lie: uniformly in [center - scale, center +
/// scale).
struct RandomRange {
  double center = 0.0, scale = 1.0;
};

/// The range for a tensor of a model by its role, such that activations and
/// results are of order 1 after any number of layers and routers decide
/// clearly:
///
/// - activations: variance 1;
/// - weights (two or more dimensions): variance 1 / last dimension, which is
///   what they are multiplied along;
/// - weights of routers (`router` in the name, or `gate.weight`): nine times
///   that, so that logits have a standard deviation of 3;
/// - gains (vectors with `norm` or `scale` in the name): 1 +- 0.1;
/// - biases and other vectors: +-0.1;
/// - integers: 0.
///
/// What weights are stored in is made by fillStored() instead, and the indices
/// of routings by fillRouting().
RandomRange randomRange(const std::string &name, DType dtype,
                        const std::vector<int64_t> &shape, bool isActivation);

/// The same for the end of --help.
inline constexpr const char *randomHelp =
    "\nRandom tensors: activations have variance 1 and weights 1 / last "
    "dimension, those\nof routers 9 times that; gains (named norm or scale) "
    "are in 1 +- 0.1, biases and\nother vectors in +-0.1; integers are 0, but "
    "those named routing.indices different\nexperts for each token. What "
    "weights are stored in has any bits, and scales that\ngive them their "
    "variance. A tensor depends on the seed, its name and its shape,\nand on "
    "its format or the number of experts.\n";

/// What numbers of stored weights are made up to be.
struct StoredRange {
  DType dtype = DType::F16;
  RandomRange range;
  /// Whether weights have a variance of 1 / K with that divided by its root.
  bool hasSize = false;

  RandomRange of(int64_t k) const;
};

/// What bits of numbers have to be, as moe::FieldBits has it.
struct StoredBits {
  enum Kind {
    Any,
    Places,   ///< Each four bits are two of four, the second behind the first.
    Ascending ///< i32, each more than the one before.
  } kind = Any;
  /// What those that ascend are below.
  int64_t limit = 0;
};

/// Numbers of stored weights that are not any bits.
struct StoredNumbers {
  /// Their bytes in each group.
  int64_t offset = 0, bytes = 0;
  DType dtype = DType::F16;
  RandomRange range;
  /// Instead, unless they are any.
  StoredBits bits = {};
};

/// What a tensor of stored weights consists of: groups of so many bytes.
struct StoredGroup {
  int64_t bytes = 1;
  std::vector<StoredNumbers> numbers;
};

/// Fills with values uniform in `range`. Floats of every type are roundings of
/// the same f32 value. Integers are uniform over the integers in [-scale,
/// scale] (U8: of [0, scale]), I1 is a fair coin. `first` is the index of the
/// tensor's first element in the whole, when it is a part of one.
void fillRandom(HostTensor &tensor, uint64_t seed, RandomRange range,
                uint64_t first = 0);
/// The same around 0.
inline void fillRandom(HostTensor &tensor, uint64_t seed, double scale,
                       uint64_t first = 0) {
  fillRandom(tensor, seed, RandomRange{0.0, scale}, first);
}

/// What the names of arguments with the indices of a routing begin with.
inline constexpr const char *routingIndicesName = "routing.indices";
/// Whether a tensor is one, by its name and type: i32 [..., slots].
bool isRoutingIndices(const HostTensor &tensor);
/// Fills i32 [..., slots] with different ones of `experts`, which are at least
/// as many as slots, for each token. `first` begins a token.
void fillRouting(HostTensor &tensor, uint64_t seed, int64_t experts,
                 uint64_t first = 0);

/// Fills with groups of stored weights; `first` begins one of them.
void fillStored(HostTensor &tensor, uint64_t seed, const StoredGroup &group,
                uint64_t first = 0);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_RANDOM_H
