//===- Tile.cpp - Register tiles of products --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One accumulator for each output, k ascending, whatever the number of rows:
// the sums have the bits of the other generator's.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace Halide;
using namespace moe_halide;

namespace {
constexpr int kPanelColumns = 32;

struct TileShape {
  std::string inner;
  bool fetchesNext = false;
  int rows = 0, columns = 0, lanes = 0, pitch = 0;
};
} // namespace

static TileShape parseShape(const std::vector<std::string> &words) {
  static const char *const names[] = {"rows", "columns", "lanes", "pitch"};
  TileShape shape;
  int *const values[] = {&shape.rows, &shape.columns, &shape.lanes,
                         &shape.pitch};
  shape.fetchesNext = words.size() == 11 && words[10] == "next";
  if (words.size() != (shape.fetchesNext ? 11 : 10) ||
      (words[1] != "fma" && words[1] != "widen" && words[1] != "dot_bf16"))
    throw Refused("tiles multiply by fma, widen or dot_bf16, with rows, "
                  "columns, lanes and pitch");
  shape.inner = words[1];
#if HALIDE_VERSION_MAJOR < 16
  if (shape.inner == "dot_bf16")
    throw Refused(
        "multiplies by dot_bf16, which Halide knows from version 16 on");
#endif
  for (int i = 0; i < 4; ++i) {
    if (words[2 + 2 * i] != names[i])
      throw Refused("expected '" + std::string(names[i]) + "', got '" +
                    words[2 + 2 * i] + "'");
    *values[i] = static_cast<int>(parseNumber(words[3 + 2 * i], 1 << 30));
  }
  if (shape.rows < 1 || shape.rows > 64 || shape.lanes < 1 ||
      shape.columns < shape.lanes || shape.columns % shape.lanes ||
      kPanelColumns % shape.columns || shape.pitch % 4 ||
      (shape.inner == "dot_bf16" && shape.lanes != 16))
    throw Refused("no tile of " + std::to_string(shape.rows) + " rows and " +
                  std::to_string(shape.columns) + " columns, of " +
                  std::to_string(shape.lanes) + " lanes");
  return shape;
}

/// Rows of `columns` elements side by side, `stride` elements apart.
template <typename Buffer>
static void setLayout(Buffer buffer, int columns, int stride) {
  buffer.dim(0).set_min(0).set_stride(1);
  if (columns)
    buffer.dim(0).set_extent(columns);
  buffer.dim(1).set_min(0).set_stride(stride);
}

namespace {
/// What a tile multiplies: a step of k, its halves, and the two factors.
struct Operands {
  ImageParam panel, lhs;
  RDom k;
  RVar half, step;
  Expr left, weight;
};
} // namespace

static Operands makeOperands(const TileShape &shape, Var c, Var r,
                             Param<int> steps) {
  Operands o;
  o.k = RDom(0, shape.inner == "fma" ? 1 : 2, 0, steps, "k");
  o.half = o.k.x;
  o.step = o.k.y;
  if (shape.inner == "dot_bf16") {
    o.panel = ImageParam(BFloat(16), 3, "panel");
    o.lhs = ImageParam(BFloat(16), 2, "lhs");
    o.panel.dim(0).set_bounds(0, 2).set_stride(1);
    o.panel.dim(1).set_bounds(0, kPanelColumns).set_stride(2);
    o.panel.dim(2).set_min(0).set_stride(2 * kPanelColumns);
    setLayout(o.lhs, 0, shape.pitch / 2);
    o.left = cast<float>(o.lhs(2 * o.step + o.half, r));
    o.weight = cast<float>(o.panel(o.half, c, o.step));
    return o;
  }
  bool widens = shape.inner == "widen";
  o.panel = ImageParam(widens ? UInt(32) : Float(32), 2, "panel");
  o.lhs = ImageParam(Float(32), 2, "lhs");
  setLayout(o.panel, kPanelColumns, kPanelColumns);
  setLayout(o.lhs, 0, shape.pitch / 4);
  o.left = o.lhs((widens ? 2 : 1) * o.step + o.half, r);
  o.weight = o.panel(c, o.step);
  if (widens) {
    // The even k is the low half of a pair, the odd one the high half.
    Expr even = o.weight << 16;
    Expr odd = o.weight & Internal::make_const(UInt(32), uint64_t(0xffff0000u));
    o.weight = reinterpret<float>(select(o.half == 0, even, odd));
  }
  return o;
}

Kernel moe_halide::makeTile(const std::vector<std::string> &words) {
  TileShape shape = parseShape(words);
  ImageParam before(Float(32), 2, "before");
  Param<int> steps("steps");
  Var c("c"), r("r"), part("part"), inner("inner"), vec("vec");
  Operands o = makeOperands(shape, c, r, steps);
  bool pairs = shape.inner == "dot_bf16";
  Func sums("sums"), after("after");

  sums(c, r) = before(c, r);
  sums(c, r) += o.left * o.weight;
  after(c, r) = sums(c, r);

  after.bound(c, 0, kPanelColumns)
      .bound(r, 0, shape.rows)
      .split(c, part, inner, shape.columns)
      .reorder(inner, r, part)
      .vectorize(inner, shape.lanes)
      .unroll(inner)
      .unroll(r)
      .unroll(part);
  sums.compute_at(after, part)
      .store_in(MemoryType::Register)
      .bound_extent(c, shape.columns)
      .bound_extent(r, shape.rows)
      .vectorize(c, shape.lanes)
      .unroll(c)
      .unroll(r);
  Stage update = sums.update();
  update.split(c, c, vec, shape.lanes).reorder(vec, c, r, o.half, o.step);
  if (pairs)
    update.reorder(o.half, vec, c, r, o.step).atomic();
  update.vectorize(vec).unroll(c).unroll(r);
  if (pairs)
    update.vectorize(o.half);
  else
    update.unroll(o.half);

  setLayout(before, kPanelColumns, kPanelColumns);
  setLayout(after.output_buffer(), kPanelColumns, kPanelColumns);
  before.set_host_alignment(64);
  after.output_buffer().set_host_alignment(64);
  std::vector<Argument> arguments = {o.panel, o.lhs, before, steps};
  if (shape.fetchesNext)
    for (const char *name : {"next", "stride"})
      arguments.push_back(Argument(name, Argument::InputScalar, UInt(64), 0,
                                   ArgumentEstimates{}));
  return {Pipeline(after), arguments, pairs};
}
