//===- Grids.h - Which groups of magnitudes formats IQ know ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Formats of 2 and 3 bits store which of some groups of magnitudes there is, and
// signs. An entry of a table is the levels of a group, from the lowest bits on.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_GRIDS_H
#define MOE_GRIDS_H

#include <cstdint>

namespace moe {

/// Groups of eight magnitudes, each 2 bits of the entry: a level of kLevelsIQ2.
extern const uint16_t kGridIQ2_XXS[256], kGridIQ2_XS[512], kGridIQ2_S[1024];
constexpr int8_t kLevelsIQ2[16] = {8, 25, 43};
/// Groups of four, each 4 bits.
extern const uint16_t kGridIQ3_XXS[256], kGridIQ3_S[512];
constexpr int8_t kLevelsIQ3_XXS[16] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int8_t kLevelsIQ3_S[16] = {1, 3, 5, 7, 9, 11, 13, 15};

} // namespace moe

#endif // MOE_GRIDS_H
