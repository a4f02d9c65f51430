//===- Passes.h - From kernels on memrefs to entry points ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The passes between kernels on memrefs and the C interface of an artifact:
// packed weights, workspace, parallel loops, the runtime's hooks, entry points.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LOWERING_PASSES_H
#define MOE_MLIR_LOWERING_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
namespace affine {
class AffineDialect;
} // namespace affine
namespace arith {
class ArithDialect;
} // namespace arith
namespace bufferization {
class BufferizationDialect;
} // namespace bufferization
namespace cf {
class ControlFlowDialect;
} // namespace cf
namespace func {
class FuncDialect;
} // namespace func
namespace linalg {
class LinalgDialect;
} // namespace linalg
namespace LLVM {
class LLVMDialect;
} // namespace LLVM
namespace math {
class MathDialect;
} // namespace math
namespace memref {
class MemRefDialect;
} // namespace memref
namespace scf {
class SCFDialect;
} // namespace scf
namespace tensor {
class TensorDialect;
} // namespace tensor
namespace vector {
class VectorDialect;
} // namespace vector
} // namespace mlir

namespace moek {
class MoekDialect;
} // namespace moek

namespace moe {

#define GEN_PASS_DECL
#include "moe-mlir/Lowering/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe-mlir/Lowering/Passes.h.inc"

} // namespace moe

#endif // MOE_MLIR_LOWERING_PASSES_H
