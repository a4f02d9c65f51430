//===- Bytes.cpp - Numbers of bytes -------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Fit/Fit.h"

#include "moe-mlir/Lowering/EntryPoints.h"

#include <cmath>

using namespace llvm;

bool moe::fit::parseBytes(StringRef text, int64_t &bytes, std::string &error) {
  StringRef number =
      text.take_while([](char c) { return isDigit(c) || c == '.'; });
  StringRef unit = text.drop_front(number.size()).trim();
  double value = 0, factor = 1;
  constexpr StringLiteral prefixes = "KMGT";
  bool isKnown = unit.empty() || unit == "B";
  if (size_t power = unit.empty() ? StringRef::npos : prefixes.find(unit[0]);
      power != StringRef::npos) {
    StringRef rest = unit.drop_front();
    isKnown = rest.empty() || rest == "B" || rest == "iB";
    factor = std::pow(rest == "iB" ? 1024.0 : 1000.0, power + 1.0);
  }
  if (!isKnown || number.getAsDouble(value) || value * factor < 1 ||
      value * factor > static_cast<double>(kMaxBytes)) {
    error = "'" + text.str() +
            "' is no number of bytes; expected one such as 600M, 2.5GiB or "
            "1000000000: K, M, G and T are powers of 1000, KiB, MiB, GiB and "
            "TiB of 1024";
    return false;
  }
  bytes = static_cast<int64_t>(value * factor);
  return true;
}
