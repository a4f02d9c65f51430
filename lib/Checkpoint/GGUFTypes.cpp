//===- GGUFTypes.cpp - Types of tensors in GGUF files ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Two tables.
//
//===----------------------------------------------------------------------===//

#include "GGUFTypes.h"
#include "Readers.h"

using namespace moe;
using namespace moe::detail;

/// What can be read.
static const GGMLType types[] = {
    {0, "F32", 1, 4, DType::F32},     {1, "F16", 1, 2, DType::F16},
    {2, "q4_0", 32, 18, {}},          {3, "q4_1", 32, 20, {}},
    {6, "q5_0", 32, 22, {}},          {7, "q5_1", 32, 24, {}},
    {8, "q8_0", 32, 34, {}},          {10, "q2_k", 256, 84, {}},
    {11, "q3_k", 256, 110, {}},       {12, "q4_k", 256, 144, {}},
    {13, "q5_k", 256, 176, {}},       {14, "q6_k", 256, 210, {}},
    {16, "iq2_xxs", 256, 66, {}},     {17, "iq2_xs", 256, 74, {}},
    {18, "iq3_xxs", 256, 98, {}},     {20, "iq4_nl", 32, 18, {}},
    {21, "iq3_s", 256, 110, {}},      {22, "iq2_s", 256, 82, {}},
    {23, "iq4_xs", 256, 136, {}},     {24, "I8", 1, 1, DType::I8},
    {26, "I32", 1, 4, DType::I32},    {27, "I64", 1, 8, DType::I64},
    {28, "F64", 1, 8, DType::F64},    {30, "BF16", 1, 2, DType::BF16},
    {34, "tq1_0", 256, 54, {}},       {35, "tq2_0", 256, 66, {}},
    {39, "mxfp4_blocks", 32, 17, {}}, {40, "nvfp4", 64, 36, {}},
};

/// Names of others, for messages.
static const std::pair<uint32_t, const char *> otherTypes[] = {
    {9, "Q8_1"},   {15, "Q8_K"},     {19, "IQ1_S"},    {25, "I16"},
    {29, "IQ1_M"}, {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"},
};

std::string moe::listGGUFTypes() {
  std::string text;
  for (const GGMLType &type : types)
    text += (text.empty() ? "" : ", ") + std::string(type.name);
  return text;
}

const GGMLType *detail::findGGMLType(uint32_t number) {
  for (const GGMLType &type : types)
    if (type.number == number)
      return &type;
  return nullptr;
}

std::string detail::nameOtherGGMLType(uint32_t number) {
  std::string text = "GGML type " + std::to_string(number);
  for (auto [other, name] : otherTypes)
    if (other == number)
      return std::string(name) + " (" + text + ")";
  return text;
}
