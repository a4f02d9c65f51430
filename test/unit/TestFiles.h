//===- TestFiles.h - Temporary files for unit tests ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A folder per test that goes away with it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_UNIT_TESTFILES_H
#define MOE_TEST_UNIT_TESTFILES_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

struct TestFolder {
  TestFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "moe-unit-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path); }

  std::string file(const std::string &name) const { return path + "/" + name; }

  std::string write(const std::string &name, const std::string &bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }
  static std::string read(const std::string &name) {
    std::ifstream stream(name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  size_t numFiles() const {
    size_t count = 0;
    for (auto it = std::filesystem::directory_iterator(path);
         it != std::filesystem::directory_iterator(); ++it)
      ++count;
    return count;
  }

  std::string path;
};

#endif // MOE_TEST_UNIT_TESTFILES_H
