//===- Summary.h - What a profile says, for people ------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_PROFILE_SUMMARY_H
#define MOE_MLIR_PROFILE_SUMMARY_H

#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Report/RoutingReport.h"

namespace moe::profile {

/// The routings of all functions, and the weights that met zeros. A layer is
/// called as its function, with the number of the router if there are several.
RoutingReport summarize(const Profile &profile);

} // namespace moe::profile

#endif // MOE_MLIR_PROFILE_SUMMARY_H
