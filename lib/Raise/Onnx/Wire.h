//===- Wire.h - Messages of Protocol Buffers -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Onnx: the fields of a message, one after the other, as
// views of the bytes. Nothing is copied, no length is believed that does not
// fit into what surrounds it, and a position is one in the file.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_ONNX_WIRE_H
#define MOE_LIB_RAISE_ONNX_WIRE_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace moe::onnx {

/// One field of a message.
struct Field {
  /// What the format calls wire types. Groups are deprecated and refused.
  enum Kind : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

  uint32_t number = 0;
  Kind kind = Varint;
  /// A varint, or the bits of a fixed number.
  uint64_t value = 0;
  llvm::StringRef bytes;
  /// Where the field begins in the file.
  uint64_t position = 0;
};

/// A part of a file that holds one message.
class Message {
public:
  Message(llvm::StringRef bytes, uint64_t begin, std::string &error)
      : bytes(bytes), begin(begin), error(error) {}
  /// The message that `field` holds.
  Message(const Field &field, std::string &error)
      : Message(field.bytes, 0, error) {
    at = 0;
    begin = field.position;
  }

  bool atEnd() const { return at == bytes.size(); }

  /// The next field; false, with a message, if the bytes are none.
  bool next(Field &field);

  /// The numbers of a repeated field: one, or many that are packed.
  bool varints(const Field &field, std::vector<int64_t> &values);
  bool floats(const Field &field, std::vector<float> &values);
  bool doubles(const Field &field, std::vector<double> &values);

  /// That `field` is of this kind; `name` is for the message if it is not.
  bool expect(const Field &field, Field::Kind kind, const char *name);

  bool fail(const llvm::Twine &problem, uint64_t position);

private:
  bool varint(llvm::StringRef from, uint64_t &place, uint64_t &value);

  llvm::StringRef bytes;
  uint64_t begin, at = 0;
  std::string &error;
};

} // namespace moe::onnx

#endif // MOE_LIB_RAISE_ONNX_WIRE_H
