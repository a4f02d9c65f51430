//===- RuntimeTest.cpp - The runtime's hooks -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What moe_rt.h promises, as far as it can be seen from outside.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt_layout.h"

#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

// A field that comes to one of these has a line in moe_rt_layout.h.
static_assert(sizeof(moe_rt) == 72);
static_assert(sizeof(moe_launch) == 64);
static_assert(sizeof(moe_trace_event) == 72);

// A caller's struct has the size that its header gave it.
TEST(Runtime, InitWritesAsMuchAsThereIs) {
  for (size_t size : {sizeof(uint32_t), size_t(24), sizeof(moe_rt),
                      sizeof(moe_rt) + 8, size_t(128)}) {
    alignas(moe_rt) unsigned char bytes[136];
    std::memset(bytes, 0xaa, sizeof(bytes));
    auto *rt = reinterpret_cast<moe_rt *>(bytes);
    moe_rt_init_sized(rt, size, 3);
    EXPECT_EQ(rt->abi, MOE_RT_ABI);
    for (size_t i = size; i < sizeof(bytes); ++i)
      EXPECT_EQ(bytes[i], 0xaa) << size << ", " << i;
    // Hooks that are not known here.
    for (size_t i = sizeof(moe_rt); i < size; ++i)
      EXPECT_EQ(bytes[i], 0) << size << ", " << i;
    if (size < sizeof(moe_rt))
      continue;
    EXPECT_EQ(rt->num_threads, 3);
    EXPECT_EQ(rt->size, size);
    EXPECT_TRUE(rt->parallel_for && rt->error);
    EXPECT_FALSE(rt->trace || rt->user || rt->launch);
  }
}

TEST(Runtime, ParallelForDoesEachItemOnce) {
  for (int threads : {0, 1, 2, 7}) {
    moe_rt rt;
    moe_rt_init(&rt, threads);
    EXPECT_GE(rt.num_threads, 1);
    for (int64_t items : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> seen(items);
      rt.parallel_for(
          &rt, items,
          [](void *arg, int64_t item) {
            ++(*static_cast<std::vector<std::atomic<int>> *>(arg))[item];
          },
          &seen);
      for (auto &count : seen)
        EXPECT_EQ(count, 1);
    }
  }
}

// OpenMP's threads do not follow into a child; without the hook's care it waits
// for them for ever.
TEST(Runtime, ChildrenRunTheirItems) {
  moe_rt rt;
  moe_rt_init(&rt, 4);
  auto sum = [&] {
    std::atomic<int64_t> total{0};
    rt.parallel_for(
        &rt, 100,
        [](void *arg, int64_t item) {
          *static_cast<std::atomic<int64_t> *>(arg) += item;
        },
        &total);
    return total.load();
  };
  EXPECT_EQ(sum(), 4950);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(sum() == 4950 ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum(), 4950);
}

TEST(Runtime, Default) {
  const moe_rt *rt = moe_rt_default();
  EXPECT_EQ(rt, moe_rt_default());
  EXPECT_EQ(rt->abi, MOE_RT_ABI);
  EXPECT_EQ(rt->size, sizeof(moe_rt));
  EXPECT_GE(rt->num_threads, 1);
  EXPECT_TRUE(rt->parallel_for);
  EXPECT_FALSE(rt->trace);
  testing::internal::CaptureStderr();
  rt->error(rt, MOE_ERR_WORKSPACE, "12 bytes given, 64 needed");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "moe: workspace too small: 12 bytes given, 64 needed\n");
}

TEST(Runtime, StatusStrings) {
  for (int status = MOE_OK; status <= MOE_ERR_EXPERT; ++status)
    EXPECT_STRNE(moe_status_string(status), "unknown status");
  EXPECT_STREQ(moe_status_string(-1), "unknown status");
  EXPECT_STREQ(moe_status_string(1000), "unknown status");
}

TEST(Runtime, Level) {
  int level = moe_rt_x86_level();
  EXPECT_TRUE(level == 0 || (level >= 3 && level <= 5)) << level;
}

TEST(Runtime, Features) {
  uint64_t features = moe_rt_cpu_features();
  EXPECT_EQ(features, moe_rt_cpu_features());
  int level = moe_rt_x86_level();
  EXPECT_EQ((features & MOE_CPU_X86_V3) != 0, level >= 3);
  EXPECT_EQ((features & MOE_CPU_X86_V4) != 0, level >= 4);
  EXPECT_EQ((features & MOE_CPU_X86_AVX512_BF16) != 0, level >= 5);
#ifdef __x86_64__
  EXPECT_EQ(features & MOE_CPU_ARM_NEON, 0u);
#endif
}
