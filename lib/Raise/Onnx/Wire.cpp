//===- Wire.cpp - Messages of Protocol Buffers -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The format: a field is a varint of its number times 8 plus its kind, and then
// a varint, 8 bytes, 4 bytes, or a length and so many bytes.
//
//===----------------------------------------------------------------------===//

#include "Wire.h"

#include "llvm/ADT/Twine.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"

using namespace moe::onnx;
using llvm::StringRef;
using llvm::Twine;

bool Message::fail(const Twine &problem, uint64_t position) {
  error = (problem + " (at byte " + Twine(position) + ")").str();
  return false;
}

bool Message::varint(StringRef from, uint64_t &place, uint64_t &value) {
  value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (place == from.size())
      return fail("the file ends within a number (truncated?)", begin + at);
    auto byte = static_cast<unsigned char>(from[place++]);
    value |= uint64_t(byte & 0x7f) << (shift < 64 ? shift : 63);
    if (!(byte & 0x80))
      return true;
  }
  return fail("a number of more than ten bytes; no ONNX file", begin + at);
}

bool Message::next(Field &field) {
  uint64_t tag, place = at;
  field = {};
  field.position = begin + at;
  if (!varint(bytes, place, tag))
    return false;
  unsigned kind = tag & 7;
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
    return fail("a field of number " + Twine(tag >> 3) + "; no ONNX file",
                field.position);
  field.number = static_cast<uint32_t>(tag >> 3);
  field.kind = static_cast<Field::Kind>(kind);
  uint64_t length = 0;
  switch (kind) {
  case Field::Varint:
    if (!varint(bytes, place, field.value))
      return false;
    at = place;
    return true;
  case Field::Bytes:
    if (!varint(bytes, place, length))
      return false;
    break;
  case Field::Fixed64:
    length = 8;
    break;
  case Field::Fixed32:
    length = 4;
    break;
  default:
    return fail("a field of kind " + Twine(kind) + "; no ONNX file",
                field.position);
  }
  if (length > bytes.size() - place)
    return fail("field " + Twine(field.number) + " of " + Twine(length) +
                    " bytes, where " + Twine(bytes.size() - place) +
                    " are left (truncated?)",
                field.position);
  StringRef content = bytes.substr(place, length);
  if (kind == Field::Fixed64)
    field.value = llvm::support::endian::read64le(content.data());
  else if (kind == Field::Fixed32)
    field.value = llvm::support::endian::read32le(content.data());
  else {
    field.bytes = content;
    // Positions of what is inside count from here.
    field.position = begin + place;
  }
  at = place + length;
  return true;
}

bool Message::expect(const Field &field, Field::Kind kind, const char *name) {
  return field.kind == kind ||
         fail(Twine(name) + " is of kind " + Twine(unsigned(field.kind)) +
                  ", not " + Twine(unsigned(kind)) + "; no ONNX file",
              field.position);
}

bool Message::varints(const Field &field, std::vector<int64_t> &values) {
  if (field.kind == Field::Varint) {
    values.push_back(static_cast<int64_t>(field.value));
    return true;
  }
  if (!expect(field, Field::Bytes, "a list of integers"))
    return false;
  for (uint64_t place = 0, value; place != field.bytes.size();) {
    if (!varint(field.bytes, place, value))
      return false;
    values.push_back(static_cast<int64_t>(value));
  }
  return true;
}

bool Message::floats(const Field &field, std::vector<float> &values) {
  auto add = [&](uint32_t bits) {
    values.push_back(llvm::bit_cast<float>(bits));
  };
  if (field.kind == Field::Fixed32) {
    add(static_cast<uint32_t>(field.value));
    return true;
  }
  if (!expect(field, Field::Bytes, "a list of floats"))
    return false;
  if (field.bytes.size() % 4)
    return fail("a list of floats of " + Twine(field.bytes.size()) + " bytes",
                field.position);
  for (size_t i = 0; i < field.bytes.size(); i += 4)
    add(llvm::support::endian::read32le(field.bytes.data() + i));
  return true;
}

bool Message::doubles(const Field &field, std::vector<double> &values) {
  auto add = [&](uint64_t bits) {
    values.push_back(llvm::bit_cast<double>(bits));
  };
  if (field.kind == Field::Fixed64) {
    add(field.value);
    return true;
  }
  if (!expect(field, Field::Bytes, "a list of doubles"))
    return false;
  if (field.bytes.size() % 8)
    return fail("a list of doubles of " + Twine(field.bytes.size()) + " bytes",
                field.position);
  for (size_t i = 0; i < field.bytes.size(); i += 8)
    add(llvm::support::endian::read64le(field.bytes.data() + i));
  return true;
}
