//===- VariantTest.cpp - Which code of an artifact runs --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Choices from tables that no artifact has, for CPUs that are not here.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe-mlir/Runtime/moe_variant.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

// A field that comes to one of these has a line in moe_rt_layout.h.
static_assert(sizeof(moe_calibration) == 32);
static_assert(sizeof(moe_variants) == 24);
static_assert(sizeof(moe_device_variants) == 24);

namespace {

constexpr uint64_t kV3 = MOE_CPU_X86_V3, kV4 = kV3 | MOE_CPU_X86_V4,
                   kBF16 = kV4 | MOE_CPU_X86_AVX512_BF16;
constexpr uint64_t kAMD = uint64_t(2) << 32;
constexpr uint64_t zen4 = kAMD | 25 << 16 | 17, zen5 = kAMD | 26 << 16 | 2;
constexpr moe_cpu_models zen4s[] = {
    {kAMD | 25 << 16 | 16, zen4},
    {kAMD | 25 << 16 | 96, kAMD | 25 << 16 | 127}};
constexpr moe_cpu_models zen5s[] = {{kAMD | 26 << 16, kAMD | 26 << 16 | 255}};

moe_variant general(const char *name, uint64_t needs, uint64_t traits = 0) {
  return {name, needs, traits, 0, nullptr};
}

const moe_variant v3 = general("x86-64-v3", kV3),
                  v4 = general("x86-64-v4", kV4),
                  v4bf16 = general("x86-64-v4-bf16", kBF16,
                                   MOE_VARIANT_NARROWS_ROWS);
const moe_variant forZen4{"zen4", kBF16, MOE_VARIANT_NARROWS_ROWS, 2, zen4s};
const moe_variant forZen5{"zen5", kBF16, 0, 1, zen5s};

class Table {
public:
  Table(std::vector<moe_variant> list)
      : list(std::move(list)), all{sizeof(all), int64_t(this->list.size()),
                                   this->list.data()} {}

  std::string operator()(uint64_t features, uint64_t model = 0,
                         const char *wanted = nullptr,
                         int32_t speed = MOE_BF16_UNKNOWN) const {
    moe_cpu cpu{features, model, speed, wanted};
    return name(moe_rt_choose_variant_for(&all, &cpu));
  }

  std::string name(int32_t choice) const {
    return choice < 0 ? "none" : list[choice].name;
  }

  const moe_variants *get() const { return &all; }

private:
  std::vector<moe_variant> list;
  moe_variants all;
};

/// Sets an environment variable, and takes it back.
class Environment {
public:
  Environment(const char *name, const char *value) : name(name) {
    setenv(name, value, 1);
  }
  ~Environment() { unsetenv(name); }

private:
  const char *name;
};

} // namespace

TEST(Variant, ByDevice) {
  constexpr moe_cpu_models later[] = {{80, 9999}}, hopper[] = {{90, 90}};
  const moe_device_variant list[] = {{"sm_80", "nvidia", 1, later},
                                     {"sm_90a", "nvidia", 1, hopper},
                                     {"vulkan", "vulkan", 0, nullptr}};
  const moe_device_variants all{sizeof(all), 3, list},
      ofOneKind{sizeof(all), 2, list};
  auto launch = [](const moe_rt *, const moe_launch *) { return 0; };
  moe_rt rt;
  moe_rt_init(&rt, 1);
  auto choose = [&](const char *device, uint64_t model) {
    rt.launch = launch;
    rt.device = device;
    rt.device_model = model;
    return moe_rt_choose_device_variant(&rt, &all);
  };
  EXPECT_EQ(choose("nvidia", 90), 1);
  EXPECT_EQ(choose("nvidia", 80), 0);
  EXPECT_EQ(choose("nvidia", 120), 0);
  EXPECT_EQ(choose("nvidia", 75), MOE_VARIANT_NONE);
  EXPECT_EQ(choose("nvidia", 0), 1); // It does not say.
  EXPECT_EQ(choose("vulkan", 0), 2);
  EXPECT_EQ(choose("vulkan", 7), 2);
  EXPECT_EQ(choose("amd", 94), MOE_VARIANT_NONE);
  // A hook that does not say what it is for, as before there was that field.
  EXPECT_EQ(choose(nullptr, 0), MOE_VARIANT_NONE);
  EXPECT_EQ(moe_rt_choose_device_variant(&rt, &ofOneKind), 1);
  rt.device = "amd";
  rt.size = offsetof(moe_rt, device);
  EXPECT_EQ(moe_rt_choose_device_variant(&rt, &ofOneKind), 1);
  // The CPU's, an older one, and one of another version, which the code tells.
  rt.size = MOE_RT_LEAST_SIZE;
  EXPECT_EQ(moe_rt_choose_device_variant(&rt, &all), MOE_VARIANT_HOST);
  EXPECT_EQ(moe_rt_choose_device_variant(nullptr, &all), MOE_VARIANT_HOST);
  EXPECT_EQ(moe_rt_choose_device_variant(moe_rt_default(), &all),
            MOE_VARIANT_HOST);
  moe_rt_init(&rt, 1);
  rt.device = "vulkan";
  rt.abi = MOE_RT_ABI + 1;
  EXPECT_EQ(moe_rt_choose_device_variant(&rt, &all), MOE_VARIANT_HOST);
}

TEST(Variant, NoneForDevice) {
  constexpr moe_cpu_models hopper[] = {{90, 90}};
  const moe_device_variant list[] = {{"sm_90a", "nvidia", 1, hopper},
                                     {"vulkan", "vulkan", 0, nullptr}};
  const moe_device_variants devices{sizeof(devices), 2, list};
  static std::string said;
  moe_rt rt;
  moe_rt_init(&rt, 1);
  rt.error = [](const moe_rt *, int, const char *message) { said = message; };
  Table hosts({v3}), none({});
  rt.device = "nvidia";
  rt.device_model = 80;
  EXPECT_EQ(moe_rt_no_device_variant(&rt, hosts.get(), &devices, "layer"),
            MOE_ERR_DEVICE);
  EXPECT_EQ(said, "layer: the runtime is for a device of nvidia, model 80, and "
                  "there is code for x86-64-v3, sm_90a (nvidia), vulkan "
                  "(vulkan) alone");
  rt.device = nullptr;
  rt.device_model = 0;
  EXPECT_EQ(moe_rt_no_device_variant(&rt, none.get(), &devices, "layer"),
            MOE_ERR_DEVICE);
  EXPECT_EQ(said, "layer: the runtime is for the CPU, and there is code for "
                  "sm_90a (nvidia), vulkan (vulkan) alone");
  rt.error = nullptr;
  EXPECT_EQ(moe_rt_no_device_variant(&rt, none.get(), &devices, "layer"),
            MOE_ERR_DEVICE);
  rt.abi = MOE_RT_ABI + 1;
  EXPECT_EQ(moe_rt_no_device_variant(&rt, none.get(), &devices, "layer"),
            MOE_ERR_BAD_ABI);
}

TEST(Variant, ByFeatures) {
  Table table({v3, v4, v4bf16});
  EXPECT_EQ(table(0), "none");
  EXPECT_EQ(table(kV3), "x86-64-v3");
  EXPECT_EQ(table(kV4), "x86-64-v4");
  EXPECT_EQ(table(kBF16), "x86-64-v4-bf16");
  // A bit is missing in between.
  EXPECT_EQ(table(kBF16 & ~kV4), "none");
  EXPECT_EQ(table(kBF16, zen4), "x86-64-v4-bf16");
  EXPECT_EQ(Table({})(kBF16), "none");
}

TEST(Variant, ByModel) {
  Table table({forZen5, v3, forZen4, v4, v4bf16});
  EXPECT_EQ(table(kBF16, zen4), "zen4");
  EXPECT_EQ(table(kBF16, zen5), "zen5");
  EXPECT_EQ(table(kBF16, zen4s[1].first), "zen4");
  EXPECT_EQ(table(kBF16, zen4s[1].last), "zen4");
  // Beside the ranges, and of nobody.
  EXPECT_EQ(table(kBF16, zen4s[0].first - 1), "x86-64-v4-bf16");
  EXPECT_EQ(table(kBF16, zen4s[1].last + 1), "x86-64-v4-bf16");
  EXPECT_EQ(table(kBF16), "x86-64-v4-bf16");
  // It lacks what its code needs: a virtual machine.
  EXPECT_EQ(table(kV4, zen4), "x86-64-v4");
}

TEST(Variant, ModelsOfOthersAreLast) {
  Table table({v3, forZen4, forZen5});
  EXPECT_EQ(table(kBF16, kAMD), "x86-64-v3");
  EXPECT_EQ(Table({forZen5, forZen4})(kBF16, kAMD), "zen4");
  EXPECT_EQ(Table({forZen5, forZen4})(kBF16, kAMD, nullptr, MOE_BF16_SLOW),
            "zen5");
}

TEST(Variant, ByCalibration) {
  Table table({v3, v4, v4bf16, forZen4});
  EXPECT_EQ(table(kBF16, zen5, nullptr, MOE_BF16_SLOW), "x86-64-v4");
  EXPECT_EQ(table(kBF16, zen5, nullptr, MOE_BF16_FAST), "x86-64-v4-bf16");
  // Whoever knows the model, or names one, knows better.
  EXPECT_EQ(table(kBF16, zen4, nullptr, MOE_BF16_SLOW), "zen4");
  EXPECT_EQ(table(kBF16, zen5, "x86-64-v4-bf16", MOE_BF16_SLOW),
            "x86-64-v4-bf16");
  // There is nothing else.
  EXPECT_EQ(Table({v4bf16})(kBF16, 0, nullptr, MOE_BF16_SLOW),
            "x86-64-v4-bf16");
}

TEST(Variant, ByName) {
  Table table({v3, forZen4, v4, v4bf16});
  EXPECT_EQ(table(kBF16, zen4, "x86-64-v3"), "x86-64-v3");
  EXPECT_EQ(table(kBF16, zen5, "zen4"), "zen4");
  EXPECT_EQ(table(kBF16, zen4, ""), "zen4");
  EXPECT_EQ(table(kBF16, zen4, "zen"), "none");
  EXPECT_EQ(table(kBF16, zen4, "zen44"), "none");
  EXPECT_EQ(table(kV3, zen4, "x86-64-v4"), "none");
  // The first that there is and that runs.
  EXPECT_EQ(table(kBF16, zen4, "zen5,x86-64-v4,x86-64-v3"), "x86-64-v4");
  EXPECT_EQ(table(kV3, zen4, "zen5,x86-64-v4,x86-64-v3"), "x86-64-v3");
  EXPECT_EQ(table(kBF16, zen4, "zen5,"), "none");
  EXPECT_EQ(table(kBF16, zen4, ","), "none");
  EXPECT_EQ(table(kBF16, zen4, "zen5,*"), "zen4");
  EXPECT_EQ(table(kBF16, zen4, "*,x86-64-v3"), "zen4");
}

TEST(Variant, IsChosenOnce) {
  Table table({general("one", 0), general("two", 0), general("three", 0)});
  int32_t first = MOE_VARIANT_NOT_CHOSEN, second = MOE_VARIANT_NOT_CHOSEN;
  {
    Environment wanted("MOE_VARIANT", "two");
    EXPECT_STREQ(moe_rt_variant_name(table.get(), &first), "two");
  }
  EXPECT_EQ(first, 1);
  EXPECT_EQ(moe_rt_choose_variant(table.get(), &first), 1);
  EXPECT_EQ(moe_rt_choose_variant(table.get(), &second), 2);
  int32_t none = MOE_VARIANT_NOT_CHOSEN;
  Environment wanted("MOE_VARIANT", "four");
  EXPECT_EQ(moe_rt_variant_name(table.get(), &none), nullptr);
  EXPECT_EQ(none, MOE_VARIANT_NONE);
}

TEST(Variant, SaysWhichThereAre) {
  Table table({general("one", 0), general("two", uint64_t(1) << 62)});
  moe_rt rt;
  moe_rt_init(&rt, 1);
  std::string message;
  rt.user = &message;
  rt.error = [](const moe_rt *rt, int, const char *text) {
    *static_cast<std::string *>(rt->user) = text;
  };
  EXPECT_EQ(moe_rt_no_variant(&rt, table.get(), "f"), MOE_ERR_UNSUPPORTED_CPU);
  EXPECT_EQ(message,
            "f: this CPU runs none of the compiled targets (one, two)");
  {
    Environment wanted("MOE_VARIANT", "three");
    EXPECT_EQ(moe_rt_no_variant(&rt, table.get(), "f"),
              MOE_ERR_UNSUPPORTED_CPU);
    EXPECT_EQ(message, "f: MOE_VARIANT=three names none that this CPU runs of "
                       "the compiled targets (one, two for other CPUs)");
  }
  // As much as there is room for.
  std::string name(5000, 'n');
  moe_rt_no_variant(&rt, table.get(), name.c_str());
  EXPECT_EQ(message, std::string(1023, 'n'));
  rt.error = nullptr;
  EXPECT_EQ(moe_rt_no_variant(&rt, table.get(), "f"), MOE_ERR_UNSUPPORTED_CPU);
  rt.size = MOE_RT_LEAST_SIZE - 1;
  EXPECT_EQ(moe_rt_no_variant(&rt, table.get(), "f"), MOE_ERR_BAD_ABI);
}

TEST(Variant, Calibration) {
  // The name of a variant whose needs are there, whichever CPU this is.
  Table table(
      {general("widens", 0), general("narrows", 0, MOE_VARIANT_NARROWS_ROWS)});
  auto choose = [&] {
    int32_t choice = MOE_VARIANT_NOT_CHOSEN;
    return table.name(moe_rt_choose_variant(table.get(), &choice));
  };
  moe_calibration slow{sizeof(slow), moe_rt_cpu_model(), 1000, 899};
  moe_calibration fast{sizeof(fast), moe_rt_cpu_model(), 1000, 900};
  EXPECT_EQ(choose(), "narrows");
  EXPECT_EQ(moe_rt_set_calibration(&slow), MOE_OK);
  EXPECT_EQ(choose(), "widens");
  EXPECT_EQ(moe_rt_set_calibration(&fast), MOE_OK);
  EXPECT_EQ(choose(), "narrows");
  EXPECT_EQ(moe_rt_set_calibration(&slow), MOE_OK);
  // Not of this CPU, and none at all.
  moe_calibration other = fast, nothing = fast, tooSmall = fast;
  other.model += 1;
  nothing.fma = 0;
  tooSmall.size -= 8;
  EXPECT_EQ(moe_rt_set_calibration(&other), MOE_ERR_BAD_VALUE);
  EXPECT_EQ(moe_rt_set_calibration(&nothing), MOE_ERR_BAD_VALUE);
  EXPECT_EQ(moe_rt_set_calibration(&tooSmall), MOE_ERR_BAD_SIZE);
  EXPECT_EQ(choose(), "widens");
  EXPECT_EQ(moe_rt_set_calibration(nullptr), MOE_OK);
  EXPECT_EQ(choose(), "narrows");
}

// What comes out depends on the CPU; that it is what the calibration says, and
// the same for all, does not.
TEST(Variant, CalibratesWhereItIsAsked) {
  Table table(
      {general("widens", 0), general("narrows", 0, MOE_VARIANT_NARROWS_ROWS)});
  Environment calibrate("MOE_CALIBRATE", "1");
  int32_t first = MOE_VARIANT_NOT_CHOSEN;
  moe_rt_choose_variant(table.get(), &first);
  for (int i = 0; i < 3; ++i) {
    int32_t next = MOE_VARIANT_NOT_CHOSEN;
    EXPECT_EQ(moe_rt_choose_variant(table.get(), &next), first);
  }
  moe_rt_set_calibration(nullptr);
}

TEST(Variant, CalibrationMeasures) {
  struct {
    moe_calibration known;
    int64_t behind;
  } bytes{{sizeof(bytes.known), 1, 1, 1}, 77};
  moe_calibration &calibration = bytes.known;
  using Clock = std::chrono::steady_clock;
  auto begin = Clock::now();
  EXPECT_EQ(moe_rt_calibrate(&calibration), MOE_OK);
  std::chrono::duration<double> seconds = Clock::now() - begin;
  EXPECT_EQ(calibration.size, sizeof(calibration));
  EXPECT_EQ(calibration.model, moe_rt_cpu_model());
  EXPECT_GT(calibration.fma, 1);
  uint64_t bf16 = MOE_CPU_X86_AVX512_BF16 | MOE_CPU_ARM_BF16;
  if (moe_rt_cpu_features() & bf16) {
    EXPECT_GT(calibration.bf16, 1);
  }
  EXPECT_EQ(bytes.behind, 77);
  EXPECT_EQ(moe_rt_set_calibration(&calibration), MOE_OK);
  moe_rt_set_calibration(nullptr);
  // Others take this CPU's time, too.
  EXPECT_LT(seconds.count(), 1.0);
  // A caller with a later header.
  std::vector<char> later(sizeof(calibration) + 8, 99);
  size_t size = later.size();
  std::memcpy(later.data(), &size, sizeof(size));
  auto *larger = reinterpret_cast<moe_calibration *>(later.data());
  EXPECT_EQ(moe_rt_calibrate(larger), MOE_OK);
  EXPECT_EQ(larger->size, size);
  EXPECT_GT(larger->fma, 1);
  larger->size = 8;
  EXPECT_EQ(moe_rt_calibrate(larger), MOE_ERR_BAD_SIZE);
}

// As the kernel numbers it.
TEST(Variant, ModelOfThisCpu) {
  EXPECT_EQ(moe_rt_cpu_model(), moe_rt_cpu_model());
  std::ifstream file("/proc/cpuinfo");
  uint64_t vendor = 0, family = 0, model = 0;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    size_t colon = line.find(':');
    std::string value =
        colon + 2 < line.size() ? line.substr(colon + 2) : std::string();
    if (line.rfind("vendor_id", 0) == 0)
      vendor = value == "GenuineIntel" ? 1 : value == "AuthenticAMD" ? 2 : 0;
    if (line.rfind("cpu family", 0) == 0)
      std::istringstream(value) >> family;
    if (line.rfind("model\t", 0) == 0)
      std::istringstream(value) >> model;
  }
  if (!vendor)
    GTEST_SKIP() << "not an x86-64 CPU of a vendor that has a number";
  EXPECT_EQ(moe_rt_cpu_model(), vendor << 32 | family << 16 | model);
}
