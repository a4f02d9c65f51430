//===- CheckpointTest.cpp - Folders and GGUF files -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Checkpoint/ConfigText.h"

#include "CheckpointBytes.h"
#include "TestFiles.h"

#include <gtest/gtest.h>

using namespace moe;
using Sizes = std::vector<int64_t>;

namespace {

std::string floats(std::vector<float> values) { return bytesOf(values); }

/// The message that a checkpoint is refused with.
std::string refusal(const std::string &path) {
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path, error);
  EXPECT_FALSE(checkpoint) << path;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  return error;
}

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

std::unique_ptr<Checkpoint> opened(const std::string &path) {
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path, error);
  EXPECT_TRUE(checkpoint) << error;
  return checkpoint;
}

/// Two shards and an index that says where tensors are.
struct Sharded : TestFolder {
  Sharded() {
    write("a.safetensors", safetensors({{"x", "F32", {2}, floats({1, 2})},
                                        {"ours", "F32", {1}, floats({9})}}));
    write("b.safetensors",
          safetensors({{"y", "BF16", {1, 2}, bytesOf<uint32_t>(0x40003f80)}}));
    index(R"("x": "a.safetensors", "y": "b.safetensors")");
  }
  void index(const std::string &map) {
    write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  }
};

} // namespace

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

TEST(HuggingFace, ReadsShardsByTheirIndex) {
  Sharded folder;
  folder.write("config.json", R"({"experts": 4, "limit": Infinity, "n": NaN})");
  std::unique_ptr<Checkpoint> checkpoint = opened(folder.path);
  EXPECT_EQ(checkpoint->getKind(), Checkpoint::Kind::HuggingFace);
  EXPECT_EQ(checkpoint->getConfig().getInteger("experts"), 4);
  // What the index does not name is not there.
  ASSERT_EQ(checkpoint->getTensors().size(), 2u);
  EXPECT_FALSE(checkpoint->find("ours"));
  const CheckpointTensor *y = checkpoint->find("y");
  ASSERT_TRUE(y);
  EXPECT_EQ(y->describe(), "BF16[1x2]");
  EXPECT_EQ(checkpoint->getFile(*y), folder.file("b.safetensors"));
  HostTensor view;
  std::string error;
  ASSERT_TRUE(checkpoint->view(*y, view, error)) << error;
  EXPECT_EQ(view.describe(), "bf16[1x2]");
  EXPECT_EQ(view.get(0), 1);
  EXPECT_EQ(view.get(1), 2);
}

TEST(HuggingFace, PrefersTheModelToOtherFiles) {
  TestFolder folder;
  folder.write("model.safetensors",
               safetensors({{"x", "F32", {1}, floats({1})}}));
  folder.write("other.safetensors",
               safetensors({{"x", "F32", {1}, floats({2})}}));
  folder.write("._model.safetensors", "of another system");
  EXPECT_EQ(opened(folder.path)->getTensors().size(), 1u);
  // Without it, all that there are, and no name twice.
  std::filesystem::rename(folder.file("model.safetensors"),
                          folder.file("part.safetensors"));
  EXPECT_HAS(refusal(folder.path), "tensor 'x' is in");
}

TEST(HuggingFace, RefusesBadIndices) {
  Sharded folder;
  folder.index(R"("x": "a.safetensors", "z": "b.safetensors")");
  std::string error = refusal(folder.path);
  EXPECT_HAS(error, folder.file("b.safetensors") + ": has no tensor 'z'");
  folder.index(R"("x": "c.safetensors")");
  EXPECT_HAS(refusal(folder.path),
             folder.file("c.safetensors") + ": no such file");
  for (std::string name : {"../a.safetensors", "/a.safetensors", "",
                           "sub/../../a.safetensors", "a\\u0000b"}) {
    folder.index("\"x\": \"" + name + "\"");
    error = refusal(folder.path);
    EXPECT_HAS(error, "tensor 'x'");
    EXPECT_HAS(error, "not a file within the folder");
  }
  folder.index(R"("x": 1)");
  EXPECT_HAS(refusal(folder.path), "tensor 'x' has no file name");
  folder.write("model.safetensors.index.json", R"({"weight_map": []})");
  EXPECT_HAS(refusal(folder.path), "'weight_map' is missing or no object");
  folder.write("model.safetensors.index.json", std::string(1000, '['));
  EXPECT_HAS(refusal(folder.path), "nested too deeply");
}

TEST(HuggingFace, RefusesFoldersWithoutWeights) {
  TestFolder folder;
  EXPECT_HAS(refusal(folder.path), "has no .safetensors file");
  EXPECT_HAS(refusal(folder.file("gone")), "cannot open");
  folder.write("a.bin", "");
  EXPECT_HAS(refusal(folder.file("a.bin")), "not a checkpoint by its name");
  folder.write("config.json", "[1]");
  EXPECT_HAS(refusal(folder.path), "config.json: not a JSON object");
}

TEST(HuggingFace, RefusesOnlyWhatIsAskedForOfUnknownTypes) {
  TestFolder folder;
  std::string path =
      folder.write("a.safetensors", safetensors({{"new", "F8_E5M2", {2}, "ab"},
                                                 {"e", "F8_E8M0", {2}, "ab"}}));
  std::unique_ptr<Checkpoint> checkpoint = opened(path);
  const CheckpointTensor *tensor = checkpoint->find("new");
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->describe(), "F8_E5M2[2]");
  EXPECT_FALSE(tensor->isReadable());
  HostTensor view;
  std::string error;
  EXPECT_FALSE(checkpoint->view(*tensor, view, error));
  EXPECT_HAS(error, path + ": tensor 'new' is of type F8_E5M2");
  EXPECT_EQ(checkpoint->find("e")->dtype, DType::U8);
}

//===----------------------------------------------------------------------===//
// GGUF
//===----------------------------------------------------------------------===//

TEST(GGUF, ReadsKeysAndTensors) {
  TestFolder folder;
  GGUFBytes gguf;
  gguf.pair("general.architecture", "qwen3moe");
  gguf.pair("qwen3moe.expert_count", 8);
  gguf.pair("scale", 6, bytesOf(0.5f));
  gguf.pair("on", 7, "\1");
  gguf.pair("big", 10, bytesOf(uint64_t(-1)));
  gguf.pair("list", 9,
            bytesOf<uint32_t>(5) + bytesOf<uint64_t>(2) +
                bytesOf(std::vector<int32_t>{-1, 7}));
  gguf.pair("long", 9,
            bytesOf<uint32_t>(0) + bytesOf<uint64_t>(65537) +
                std::string(65537, 'x'));
  gguf.tensor("plain", {3, 2}, 0, floats({1, 2, 3, 4, 5, 6}));
  gguf.tensor("blocks", {64, 2, 1}, 8, std::string(136, 'q'));
  gguf.info("odd", {32}, 19, 0); // IQ1_S.
  for (uint32_t version : {2, 3}) {
    gguf.version = version;
    std::unique_ptr<Checkpoint> checkpoint =
        opened(folder.write("m.gguf", gguf.file()));
    EXPECT_EQ(checkpoint->getKind(), Checkpoint::Kind::GGUF);
    const llvm::json::Object &config = checkpoint->getConfig();
    EXPECT_EQ(config.getString("general.architecture"), "qwen3moe");
    EXPECT_EQ(config.getInteger("qwen3moe.expert_count"), 8);
    EXPECT_EQ(config.getNumber("scale"), 0.5);
    EXPECT_EQ(config.getBoolean("on"), true);
    EXPECT_EQ(config.get("big")->getAsUINT64(), uint64_t(-1));
    ASSERT_TRUE(config.getArray("list"));
    EXPECT_EQ((*config.getArray("list"))[0].getAsInteger(), -1);
    EXPECT_FALSE(config.get("long"));

    EXPECT_EQ(checkpoint->find("plain")->describe(), "F32[2x3]");
    HostTensor view;
    std::string error;
    ASSERT_TRUE(checkpoint->view(*checkpoint->find("plain"), view, error));
    EXPECT_EQ(view.get(5), 6);
    const CheckpointTensor &blocks = *checkpoint->find("blocks");
    EXPECT_EQ(blocks.describe(), "q8_0[1x2x64]");
    EXPECT_EQ(blocks.blockElements, 32);
    EXPECT_EQ(blocks.blockBytes, 34);
    ASSERT_TRUE(checkpoint->view(blocks, view, error));
    EXPECT_EQ(view.describe(), "u8[1x2x68]");
    EXPECT_FALSE(checkpoint->view(*checkpoint->find("odd"), view, error));
    EXPECT_HAS(error, "tensor 'odd' is of type IQ1_S (GGML type 19)");
  }
}

TEST(GGUF, KeepsItsAlignment) {
  TestFolder folder;
  GGUFBytes gguf;
  gguf.alignment = 128;
  gguf.pair("general.alignment", 128);
  gguf.tensor("a", {1}, 0, floats({1}));
  gguf.tensor("b", {1}, 0, floats({2}));
  std::unique_ptr<Checkpoint> checkpoint =
      opened(folder.write("m.gguf", gguf.file()));
  EXPECT_EQ(checkpoint->find("b")->offset - checkpoint->find("a")->offset,
            128u);
  HostTensor view;
  std::string error;
  ASSERT_TRUE(checkpoint->view(*checkpoint->find("b"), view, error));
  EXPECT_EQ(view.get(0), 2);
}

TEST(GGUF, FindsTheOtherPartsOfOne) {
  TestFolder folder;
  auto part = [](uint32_t number, uint32_t total) {
    GGUFBytes gguf;
    if (number == 0)
      gguf.pair("general.architecture", "llama");
    gguf.pair("split.no", 2, bytesOf<uint16_t>(number));
    gguf.pair("split.count", 2, bytesOf<uint16_t>(2));
    gguf.pair("split.tensors.count", 5, bytesOf<int32_t>(total));
    gguf.tensor("t" + std::to_string(number), {1}, 0, floats({1.0f + number}));
    return gguf.file();
  };
  folder.write("m-00001-of-00002.gguf", part(0, 2));
  std::string second = folder.write("m-00002-of-00002.gguf", part(1, 2));
  std::unique_ptr<Checkpoint> checkpoint = opened(second);
  EXPECT_EQ(checkpoint->getTensors().size(), 2u);
  EXPECT_EQ(checkpoint->getConfig().getString("general.architecture"), "llama");
  EXPECT_EQ(checkpoint->getFile(*checkpoint->find("t1")), second);

  folder.write("m-00002-of-00002.gguf", part(0, 2));
  EXPECT_HAS(refusal(second), "'split.no' and 'split.count' are not 1 and 2");
  std::filesystem::remove(second);
  EXPECT_HAS(refusal(folder.file("m-00001-of-00002.gguf")),
             second + ": no such file");
  EXPECT_HAS(refusal(folder.write("m.gguf", part(0, 2))),
             "its name does not end in -00001-of-00002.gguf");
  folder.write("m-00001-of-00002.gguf", part(0, 3));
  folder.write("m-00002-of-00002.gguf", part(1, 3));
  EXPECT_HAS(refusal(second), "'split.tensors.count' is 3");
}

TEST(GGUF, RefusesWhatIsWrong) {
  TestFolder folder;
  auto check = [&](const std::string &bytes, const std::string &problem) {
    EXPECT_HAS(refusal(folder.write("m.gguf", bytes)), problem);
  };
  GGUFBytes good;
  good.pair("key", 7);
  good.tensor("t", {32, 1}, 8, std::string(34, 'q'));
  std::string file = good.file();
  ASSERT_TRUE(opened(folder.write("m.gguf", file)));
  // No prefix of a file is a file.
  for (size_t size = 0; size < file.size(); ++size)
    (void)refusal(folder.write("m.gguf", file.substr(0, size)));

  auto edited = [&](size_t at, const std::string &bytes) {
    std::string other = file;
    return other.replace(at, bytes.size(), bytes);
  };
  check(edited(0, "GGML"), "does not begin with 'GGUF'");
  check(edited(4, bytesOf<uint32_t>(1)), "GGUF version 1");
  check(edited(4, bytesOf<uint32_t>(3 << 24)), "big-endian");
  check(edited(8, bytesOf<uint64_t>(1 << 20)),
        "1048576 tensors do not fit into the file (truncated?) (at byte 8)");
  check(edited(16, bytesOf(uint64_t(-1))), "keys do not fit");
  check(edited(24, bytesOf(uint64_t(1) << 40)),
        "a key of 1099511627776 bytes does not fit");
  check(edited(35, bytesOf<uint32_t>(13)),
        "key 'key': a value of unknown type 13 (at byte 35)");

  auto with = [](auto change) {
    GGUFBytes gguf;
    change(gguf);
    return gguf.file();
  };
  check(with([](GGUFBytes &g) {
          g.pair("k", 1);
          g.pair("k", 2);
        }),
        "key 'k': a second time");
  check(with([](GGUFBytes &g) { g.pair("k", 7, "\2"); }), "a bool of 2");
  check(with([](GGUFBytes &g) { g.pair("\xff", 1); }), "not UTF-8");
  check(with([](GGUFBytes &g) {
          g.pair("k", 9, bytesOf<uint32_t>(9) + bytesOf<uint64_t>(1));
        }),
        "key 'k': a list of values of type 9");
  check(with([](GGUFBytes &g) {
          g.pair("k", 9, bytesOf<uint32_t>(4) + bytesOf(uint64_t(1) << 62));
        }),
        "key 'k': a list of 4611686018427387904 values");
  check(with([](GGUFBytes &g) { g.pair("general.alignment", 24); }),
        "'general.alignment' is not a power of two");
  check(with([](GGUFBytes &g) {
          g.tensor("t", {1}, 0, floats({1}));
          g.info("t", {1}, 0, 0);
        }),
        "tensor 't': a second time");
  check(with([](GGUFBytes &g) {
          g.tensor("s", {9}, 0, floats(std::vector<float>(9)));
          g.info("t", {1}, 0, 32);
        }),
        "tensors 's' and 't' overlap");
  check(with([](GGUFBytes &g) {
          g.info("t", {2}, 0, 32);
          g.data.resize(39);
        }),
        "tensor 't' of 8 bytes begins at byte 32 of the data, which are 39");
  check(with([](GGUFBytes &g) {
          g.info("t", {1}, 0, 4);
          g.data.resize(8);
        }),
        "offset 4, no multiple of the alignment of 32");
  check(with([](GGUFBytes &g) { g.info("t", {48}, 8, 0); }),
        "no multiple of its blocks of 32");
  check(with([](GGUFBytes &g) { g.info("t", {}, 8, 0); }), "its blocks of 32");
  check(with([](GGUFBytes &g) {
          g.info("t", {1, 1, 1, 1, 1}, 0, 0);
        }),
        "has 5 dimensions");
  check(with([](GGUFBytes &g) { g.info("t", {uint64_t(1) << 63}, 0, 0); }),
        "has a dimension of 9223372036854775808");
  check(with([](GGUFBytes &g) {
          g.info("t", {uint64_t(1) << 40, uint64_t(1) << 40}, 99, 0);
        }),
        "overflows");
  // No rows, of more bytes than there are.
  check(with([](GGUFBytes &g) {
          g.info("t", {(uint64_t(1) << 63) - 32, 0}, 8, 0);
        }),
        "overflows");
}
