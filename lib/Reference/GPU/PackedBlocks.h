//===- PackedBlocks.h - Weights in blocks, as kernels read them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_PACKEDBLOCKS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_PACKEDBLOCKS_H

#include "moe-mlir/Support/HostTensor.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringMap.h"

namespace moe::reference::simt {

/// Copies weights in blocks to the places that the plan `packed`, a
/// `moe.packed` with the layout "blocks", says, as docs/abi.md describes it;
/// `to` holds zeros. Returns what is wrong, or nothing.
std::string packBlocks(mlir::DictionaryAttr packed,
                       const llvm::StringMap<HostTensor> &tensors,
                       HostTensor &to);

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_PACKEDBLOCKS_H
