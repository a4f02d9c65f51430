//===- Ranges.h - Ranges of experts in several formats ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_FIT_RANGES_H
#define MOE_LIB_FIT_RANGES_H

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace moe::fit {

/// The first expert of each range, and the type of all of them.
using Segments = std::vector<std::pair<int64_t, size_t>>;

/// Experts in at most `most` ranges of neighbours, each in one type.
/// `bytes[type]` is what an expert takes, `losses[type][expert]` what is lost
/// of it. What is found is best for some price of a byte: those at which one
/// type for all would change. Choices of one type are left out, and so are
/// those that gain nothing worth a kernel.
std::vector<Segments>
findSegments(const std::vector<int64_t> &bytes,
             const std::vector<std::vector<double>> &losses, size_t most);

} // namespace moe::fit

#endif // MOE_LIB_FIT_RANGES_H
