// RUN: moe-opt %s --allow-unregistered-dialect --verify-roundtrip | FileCheck %s

// CHECK: moek.target = #moe_cpu.target<"mine", arch = x86_64, cpu = "znver5", features = "+avx512bf16",
// CHECK-SAME: needs = ["x86_v3", "x86_v4"], instructions = ["dot_bf16"], lanes = 16,
// CHECK-SAME: registers = 32, l1 = 49152, l2 = 1048576, models = ["amd 26 0-15", "amd 26 64"],
// CHECK-SAME: rates = {clock = 4000, fma = 64}, run = 1048576, chunk = 65536, prefetch = [<rows = 4>, <rows = 14, ahead = [65536, 4096], levels = [2, 1]>], prefetch_level = 3>
// CHECK-SAME: test.route = #moe_cpu.route_schedule<lanes = 16, pack_by = compress_bytes>
// CHECK-SAME: test.rows = #moe_cpu.route_schedule<lanes = 8, single = 8>
// CHECK-SAME: test.schedule = #moe_cpu.schedule<fma, lanes = 16, rows = 14,
module attributes {
  moek.target = #moe_cpu.target<"mine", arch = x86_64, cpu = "znver5",
    features = "+avx512bf16", needs = ["x86_v3", "x86_v4"],
    instructions = ["dot_bf16"], lanes = 16, registers = 32, l1 = 49152,
    l2 = 1048576, models = ["amd 26 0-15", "amd 26 64"], rates = {fma = 64, clock = 4000},
    run = 1048576, chunk = 65536, prefetch = [<rows = 4>, <rows = 14, ahead = [65536, 4096], levels = [2, 1]>], prefetch_level = 3>,
  test.route = #moe_cpu.route_schedule<lanes = 16, pack_by = compress_bytes>,
  test.rows = #moe_cpu.route_schedule<lanes = 8, single = 8>,
  test.schedule = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256,
    chunk = 131072, run = 2097152, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>
} {}
