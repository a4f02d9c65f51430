//===- Formats.h - What weight formats are made of -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The vocabulary of WeightFormatAttrInterface, for formats in this dialect and
// in others, and for the kernels that decode them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_H
#define MOE_FORMATS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Value.h"

#include <optional>

namespace moe {

/// A dimension of a tensor that has its numbers in an order of its own.
struct StorageDigit {
  /// Of a row's index, or of the place in a row.
  enum Axis { Row, Place } axis;
  /// How many values it has; 0: as many as its axis has without the others.
  int64_t size = 0;
  /// The index or place is the sum of its digits times these; 0: that of the
  /// most significant.
  int64_t weight = 1;
  /// Whether the last value comes first.
  bool fromEnd = false;
};

/// Where a tensor has its numbers, if not row after row: in words of several of
/// them, transposed, or both.
struct StorageOrder {
  /// What the tensor consists of.
  mlir::Type element;
  /// Of a number there, and in a block.
  int64_t bits = 0, bitsInBlock = 0;
  /// From the outermost to the innermost, the lowest bits of a word last.
  llvm::SmallVector<StorageDigit> digits;
};

/// An order for matrices of some size: number p of row n is number
/// `first` + the sum of (n / weight % size) * stride over `rows` and of the same
/// of p over `places`.
struct StoragePlaces {
  struct Digit {
    int64_t weight, size, stride;
  };
  int64_t first = 0;
  llvm::SmallVector<Digit> rows, places;

  int64_t find(int64_t n, int64_t p) const;
};

/// One of the tensors that weights are stored in: `[..., rows, blocks, ...]`,
/// in which every group of so many rows and blocks of the matrix has `count`
/// elements. Dimensions behind the rows may be joined or taken apart.
struct StorageTensor {
  /// What it is called beside the others, such as `scales`.
  llvm::StringRef name;
  mlir::Type element;
  int64_t count = 1;
  /// Rows and blocks that share these elements; 0 blocks for all of a row.
  int64_t rows = 1, blocks = 1;
  /// Unless it is as said. Rows do not share then.
  std::optional<StorageOrder> order = {};

  /// Of one block.
  int64_t getBytes() const {
    return count * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  }
};

/// Where numbers lie when weights are made up: uniformly in center +- spread.
struct MadeUpRange {
  double center = 0, spread = 0;
  /// Weights have a variance of 1 / K: whether these are divided by its root.
  bool hasSize = true;

  /// A quarter less or more than `center`.
  static MadeUpRange about(double center) {
    return {center, (center < 0 ? -center : center) / 4};
  }
};

/// Consecutive numbers of a block.
struct BlockField {
  llvm::StringRef name;
  /// Of one number: an integer (unsigned) or a float.
  mlir::Type element;
  int64_t count = 1;
  /// In which storage tensor, and from which byte of the block's on.
  int64_t storage = 0, offset = 0;
  /// In which made-up weights, whose other numbers are any bits, have a mean of
  /// about 0 and a variance of about 1. See getMadeUpRange for what is not said.
  std::optional<MadeUpRange> range = {};
  /// What a byte stands for that is read as one, but is a float. Numbers that
  /// are floats have to be finite.
  mlir::Type byteFloat = {};

  mlir::Type getStored() const { return byteFloat ? byteFloat : element; }
  int64_t getBytes() const {
    return count * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  }
  /// Whether the bytes are read four at a time: as words.
  bool isWords() const { return getBytes() % 4 == 0 && element.isInteger(8); }
};

/// How the values of a block follow one another: value `i` of round (p, w) is
/// that of k = first[i] + p * period + w * advance. Periods are of a multiple
/// of 32: rows that are quantised to meet codes have a scale for as many values.
struct DecodeRounds {
  int64_t period = 0, periods = 1;
  int64_t advance = 0, words = 1;
  llvm::SmallVector<int64_t> first;
};

/// Codes of a CodedFormatAttrInterface.
struct CodeForm {
  /// Consecutive k with one scale; a divisor of the block.
  int64_t subBlock = 0;
  /// What a code stands for is it less this.
  int64_t zero = 0;
  bool hasMinimum = false;
  /// The largest distance of a code from `zero`.
  int64_t most = 0;
};

/// Floats of a FloatCodedFormatAttrInterface.
struct FloatForm {
  /// Of at most 8 bits, a sign among them, without infinities.
  mlir::FloatType element;
  /// Consecutive k with one scale; a divisor of the block.
  int64_t subBlock = 0;
  /// The field whose number i is the scale of sub-block i. One that is a byte
  /// is taken without a sign.
  int64_t scales = 0;
};

/// The numbers of one block, as who decodes it has them: scalars, or vectors of
/// those of several rows.
class BlockReader {
public:
  using Value = mlir::Value;

  BlockReader(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}
  virtual ~BlockReader() = default;

  mlir::OpBuilder &builder;
  mlir::Location loc;

  /// Number `index` (of type index) of field `field`: integers as i32 without a
  /// sign, floats as f32.
  virtual Value readNumber(int64_t field, Value index) = 0;
  /// Four bytes of a field of words, from byte 4 * `index` on, as an i32.
  virtual Value readWord(int64_t field, Value index) = 0;
  /// Replaces each byte of `codes`, all of them below 16, by that of `table`.
  virtual Value lookUp(Value codes, llvm::ArrayRef<int8_t> table) = 0;
  /// The entry of `table`, one of many, that each i32 of `indices` says.
  virtual Value lookUp(Value indices, llvm::ArrayRef<uint16_t> table) = 0;
  /// i32 or f32 or vectors of them, as numbers are read.
  virtual mlir::Type getIntType() = 0;
  virtual mlir::Type getFloatType() = 0;

  /// Number `index` of what `buildShared` made.
  virtual Value readShared(Value index) = 0;

  Value readNumber(int64_t field, int64_t index) {
    return readNumber(field, constantIndex(index));
  }
  Value readWord(int64_t field, int64_t index) {
    return readWord(field, constantIndex(index));
  }
  /// Of indices; constants are folded.
  Value indexOf(Value a, int64_t factor,
                int64_t offset = 0); ///< a * factor + offset
  Value sum(Value a, Value b);
  Value quotient(Value a, int64_t divisor);

  Value integer(int64_t value);
  Value number(double value);
  Value negate(Value a); ///< Of floats.
  Value shiftRight(Value a, int64_t bits);
  Value shiftLeft(Value a, int64_t bits);
  /// By a number of bits that is an index.
  Value shiftRight(Value a, Value bits);
  Value bitAnd(Value a, int64_t mask);
  Value bitOr(Value a, Value b);
  Value bitXor(Value a, int64_t mask);
  Value add(Value a, Value b);      ///< Integers or floats.
  Value multiply(Value a, Value b); ///< Integers or floats.
  Value toFloat(Value a);           ///< Of an i32 with a sign.
  /// The f32 whose bits are those of the i32 `a`.
  Value asFloat(Value a);
  /// The f32 of the f16 whose bits are the lower half of the i32 `a`.
  Value halfToFloat(Value a);
  /// Byte `index` of a word.
  Value byteOf(Value word, int64_t index);
  /// Where `a` is below `limit`, as integers without a sign, `below`, else
  /// `other`.
  Value selectBelow(Value a, int64_t limit, Value below, Value other);

  /// An index as an i32.
  Value toLanes(Value index);

private:
  Value constantIndex(int64_t value);
};

/// What rows become that meet weights in a format: nothing else; bf16, as which
/// the weights are decoded then, too; codes meet integers of so many bits, with a
/// scale for 32 values or for all that share a scale of the weights.
enum class RowType { F32, BF16, Int8, Int16 };
/// How it is said: "f32", "bf16", "int8", "int16"; "auto", not more coarsely than
/// the weights were.
llvm::ArrayRef<llvm::StringRef> getRowTypes();
/// What rows become where `said` is one of these; chips may lack what that takes.
RowType getRowType(llvm::StringRef said, mlir::Attribute format);

/// What a format does that is stored in blocks of bytes, as its fields say, and
/// that is one of codes: the defaults of WeightFormatAttrInterface.
mlir::LogicalResult
verifyBlocks(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
             mlir::Attribute format, int64_t k);
llvm::SmallVector<StorageTensor> storeBlocks(mlir::Attribute format, int64_t k);
void buildCodedValues(BlockReader &reader, mlir::Attribute format, int64_t k,
                      mlir::Value period, mlir::Value word,
                      llvm::SmallVectorImpl<mlir::Value> &values);

} // namespace moe

#endif // MOE_FORMATS_H
