//===- Remove.h - Removes experts from a layer -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_PROFILE_REMOVE_H
#define MOE_LIB_PROFILE_REMOVE_H

#include "moe/Moe.h"

#include <string>

namespace moe::profile {

/// How many groups of as many experts each a policy chooses from; 1 for most.
int64_t getNumGroups(SelectionPolicyAttrInterface policy);

/// Why no expert can be taken away from `router`, so that the choice among the
/// others, and their weights, stay what they are wherever it is not chosen;
/// empty if one can.
std::string whyNotRemovable(RouterOp router);

/// Leaves `router` the experts `kept`, in ascending order, and takes the others
/// out of all that its routing goes to. There is no reason not to.
void keepExperts(RouterOp router, llvm::ArrayRef<int64_t> kept);

} // namespace moe::profile

#endif // MOE_LIB_PROFILE_REMOVE_H
