//===- Image.cpp - What artifacts hold of kernels ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Image.h"

#include "moe-mlir/Support/Program.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

/// Before a cubin: these letters, and its bytes as u32.
static constexpr StringLiteral kMagic("MOEC");
static constexpr size_t kHeaderBytes = 8;

bool moe::nvidia::assemble(StringRef ptx, StringRef cpu, StringRef ptxas,
                           std::string &cubin, std::string &printed,
                           std::string &error) {
  TemporaryFile input, output;
  if (!input.create("moe-kernels", "ptx", error, ptx) ||
      !output.create("moe-kernels", "cubin", error))
    return false;
  std::string arch = ("-arch=" + cpu).str();
  SmallVector<char, 0> bytes;
  if (!runProgram({ptxas, "-v", arch, input.getPath(), "-o", output.getPath()},
                  error, &printed) ||
      !output.read(bytes, error))
    return false;
  cubin.assign(bytes.begin(), bytes.end());
  return true;
}

std::string moe::nvidia::makeImage(StringRef ptx, StringRef cubin) {
  std::string image;
  if (!cubin.empty()) {
    image = kMagic.str();
    image.resize(kHeaderBytes);
    support::endian::write32le(&image[4], cubin.size());
    image += cubin;
    image.resize(alignTo(image.size(), 8));
  }
  image += ptx;
  image += '\0';
  return image;
}

StringRef moe::nvidia::getPTX(StringRef image) {
  if (image.starts_with(kMagic))
    image = image.drop_front(
        alignTo(kHeaderBytes + support::endian::read32le(image.data() + 4), 8));
  return image.drop_back();
}
