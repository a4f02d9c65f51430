//===- AttentionTiles.h - Tiles of ops and of what they read ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A linalg op on one tile, in as many dimensions as the tile has. What only
// moves elements, such as heads that are put in front or repeated for several
// queries, is read through.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTIONTILES_H
#define MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTIONTILES_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <optional>

namespace moe::linalg_to_vector {

/// The maps of an op that copies its operand, permuted or repeated.
struct CopyMaps {
  mlir::AffineMap from, to;
};
std::optional<CopyMaps> matchCopy(mlir::Operation *op);

/// Whether `scores` come from a product by ops on single elements of which
/// nothing else reads the results.
bool leadsToProduct(mlir::Value scores);

/// A tile by the loops of an op. Loops that are not kept have one iteration.
struct TilePlace {
  llvm::SmallVector<mlir::OpFoldResult> offsets, sizes;
  llvm::SmallVector<bool> kept;
};

class TileBuilder {
public:
  explicit TileBuilder(mlir::OpBuilder &b) : b(b) {}

  /// `op` at `place`: a linalg.generic over the loops that are kept.
  mlir::Value build(mlir::linalg::LinalgOp op, const TilePlace &place);
  /// `map` of the op over the loops that are kept.
  mlir::AffineMap getMap(mlir::AffineMap map, const TilePlace &place);
  /// Says what the tile of `value` is, for ops that have it as an operand, and
  /// by which of their loops, if not as the operand.
  void setTile(mlir::Value value, mlir::Value tile, mlir::AffineMap map = {}) {
    tiles[value] = {tile, map};
  }

private:
  /// The tile of an operand, and which dimensions of it are those of the tile.
  struct Part {
    mlir::Value tile;
    llvm::SmallVector<unsigned> dims;
  };
  Part take(mlir::Location loc, mlir::Value value,
            llvm::SmallVector<mlir::OpFoldResult> offsets,
            llvm::SmallVector<mlir::OpFoldResult> sizes,
            llvm::SmallVector<int64_t> kept);

  mlir::OpBuilder &b;
  struct Tile {
    mlir::Value value;
    mlir::AffineMap map;
  };
  llvm::DenseMap<mlir::Value, Tile> tiles;
};

} // namespace moe::linalg_to_vector

#endif // MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTIONTILES_H
