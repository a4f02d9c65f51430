//===- MoekDialect.cpp - The dialect, its attributes and types -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moek;

#include "moek/MoekDialect.cpp.inc"
#include "moek/MoekEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moek/MoekAttrs.cpp.inc"

void MoekDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moek/MoekAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "moek/MoekOps.cpp.inc"
      >();
}

LogicalResult CpuAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                              StringRef name, StringRef features, int64_t lanes,
                              int64_t registers, int64_t l1, int64_t l2,
                              bool bf16Dot, Arch arch, bool bf16Mmla,
                              bool scalable) {
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return emitError() << "lanes must be 4, 8 or 16 f32, got " << lanes;
  if (registers < 16 || l1 <= 0 || l2 <= 0)
    return emitError() << "a CPU needs at least 16 vector registers and "
                          "positive cache sizes";
  if (bf16Dot && lanes != 16)
    return emitError() << "bf16_dot needs 16 lanes, got " << lanes;
  if (arch == Arch::AArch64 && lanes != 4)
    return emitError() << "aarch64 has 4 lanes, got " << lanes;
  if (arch != Arch::AArch64 && (bf16Mmla || scalable))
    return emitError() << (bf16Mmla ? "bf16_mmla" : "scalable")
                       << " needs aarch64, got " << stringifyArch(arch);
  return success();
}

LogicalResult PanelsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t columns, int64_t kBlock,
                                 int64_t interleave) {
  if (columns <= 0 || columns % 16 != 0)
    return emitError() << "columns must be a positive multiple of 16, got "
                       << columns;
  if (kBlock != 1 && kBlock != 2 && kBlock != 4)
    return emitError() << "k_block must be 1, 2 or 4, got " << kBlock;
  if (interleave != 0 && interleave * 2 != columns)
    return emitError() << "interleave must be 0 or half of the columns ("
                       << columns / 2 << "), got " << interleave;
  return success();
}

LogicalResult
ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, Inner inner,
                     int64_t lanes, int64_t rows, int64_t blockRows,
                     int64_t chunk, int64_t run, int64_t streamRows,
                     int64_t streamAhead, int64_t tileAhead, bool scalable) {
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return emitError() << "lanes must be 4, 8 or 16, got " << lanes;
  if (inner == Inner::DotBF16 && lanes != 16)
    return emitError() << "dot_bf16 needs 16 lanes, got " << lanes;
  if (inner == Inner::MmlaBF16 && (lanes != 4 || scalable))
    return emitError() << "mmla_bf16 needs 4 lanes and is not scalable";
  if (scalable && lanes != 4)
    return emitError() << "scalable needs 4 lanes, got " << lanes;
  int64_t limit = getMaxTileRows(inner, lanes);
  if (rows < 1 || rows > limit)
    return emitError() << "a tile of " << rows
                       << " rows does not fit the registers; rows must be from "
                          "1 to "
                       << limit << " for this inner kernel and width";
  if (blockRows < rows)
    return emitError() << "block_rows (" << blockRows
                       << ") must be at least rows (" << rows << ")";
  // Each thread keeps its parked accumulators on its stack.
  if (blockRows > 1024)
    return emitError() << "block_rows must be at most 1024, got " << blockRows;
  if (chunk < 1024 || chunk % 1024 != 0)
    return emitError() << "chunk must be a positive multiple of 1024 bytes "
                          "(8 steps of k), got "
                       << chunk;
  if (run < 1)
    return emitError() << "run must be positive, got " << run;
  if (streamRows < 0 || streamAhead < 0 || tileAhead < 0)
    return emitError() << "prefetch rows and distances cannot be negative";
  return success();
}

int64_t moek::getMaxTileRows(Inner inner, int64_t lanes) {
  // What was found not to spill; see docs/performance.md.
  if (lanes == 4)
    return inner == Inner::MmlaBF16 ? 6 : 10;
  // Two vectors a row besides two of weights, a broadcast, and one register to
  // breathe; widening holds the raw pairs and the mask besides.
  bool widen = inner == Inner::Widen;
  return lanes == 16 ? widen ? 12 : 14 : widen ? 5 : 6;
}

int64_t moek::getPaddedRowLength(int64_t k, Type element) {
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  int64_t lines = (k * bytes + 63) / 64;
  return (lines | 1) * 64 / bytes;
}
