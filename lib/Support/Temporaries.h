//===- Temporaries.h - What a signal removes --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SUPPORT_TEMPORARIES_H
#define MOE_LIB_SUPPORT_TEMPORARIES_H

#include <csignal>
#include <string>

namespace moe::detail {

/// Has the file or folder `path` removed when the process ends, until forget().
void remember(const std::string &path);
void forget(const std::string &path);

/// Holds back the signals that end a process on somebody's wish.
class BlockedSignals {
public:
  BlockedSignals();
  ~BlockedSignals();

private:
  sigset_t before;
};

} // namespace moe::detail

#endif // MOE_LIB_SUPPORT_TEMPORARIES_H
