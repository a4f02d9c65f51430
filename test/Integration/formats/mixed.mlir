// Formats beside each other: of the matrices of an expert, of layers of a module,
// and of ranges of experts in one layer, which are routed, gathered and combined
// together.

// RUN: rm -rf %t && mkdir -p %t
// RUN: moe-compile %s --target=x86-64-v4-bf16 --activations=int8 --compile-to=planned | FileCheck %s --check-prefixes=CHECK,INT8
// RUN: moe-compile %s --target=x86-64-v3 --compile-to=planned | FileCheck %s --check-prefixes=CHECK,F32
// RUN: moe-compile %s --compile-to=planned | grep "moek.route #" | count 4
// RUN: moe-compile %s -o %t/f32
// RUN: moe-compile %s --activations=int8 -o %t/int8
// DEFINE: %{layer} =
// DEFINE: %{verify} = moe-run %t/f32.so --model=%s --entry=%{layer} --random=1 --tokens=1 --verify \
// DEFINE:   && moe-run %t/f32.so --model=%s --entry=%{layer} --random=2 --tokens=37 --verify \
// DEFINE:   && moe-run %t/int8.so --model=%s --entry=%{layer} --random=1 --tokens=1 --verify \
// DEFINE:   && moe-run %t/int8.so --model=%s --entry=%{layer} --random=2 --tokens=37 --verify
// REDEFINE: %{layer} = down
// RUN: %{verify}
// REDEFINE: %{layer} = gate_and_up
// RUN: %{verify}
// REDEFINE: %{layer} = stored_and_plain
// RUN: %{verify}
// REDEFINE: %{layer} = hot_and_cold
// RUN: %{verify}

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// As in every Q4_K_M file: down has more bits.
// CHECK-LABEL: func.func @down(
// CHECK: moek.grouped_matmul {{.*}} phase("gate_up") format(#moe.q4_k)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.q6_k)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
func.func @down(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x256xf32> {moe.name = "router.weight"},
    %gs: tensor<8x256x1x144xi8> {moe.name = "down.gate"},
    %us: tensor<8x256x1x144xi8> {moe.name = "down.up"},
    %ds: tensor<8x256x1x210xi8> {moe.name = "down.down"}) -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = moe.dequantize #moe.q4_k (%gs : tensor<8x256x1x144xi8>) : tensor<8x256x256xf32>
  %u = moe.dequantize #moe.q4_k (%us : tensor<8x256x1x144xi8>) : tensor<8x256x256xf32>
  %d = moe.dequantize #moe.q6_k (%ds : tensor<8x256x1x210xi8>) : tensor<8x256x256xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x256xf32>, tensor<8x256xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x256x256xf32>, tensor<8x256x256xf32>, tensor<8x256x256xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<256x256xf32>, %b: tensor<256x256xf32>, %c: tensor<256x256xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

// Gate and up are then products of their own.
// CHECK-LABEL: func.func @gate_and_up(
// CHECK: moek.grouped_matmul {{.*}} phase("gate") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("up") format(#moe.q8_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.iq4_nl)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
func.func @gate_and_up(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x256xf32> {moe.name = "router.weight"},
    %gs: tensor<8x256x8x18xi8> {moe.name = "gate_and_up.gate"},
    %us: tensor<8x256x8x34xi8> {moe.name = "gate_and_up.up"},
    %ds: tensor<8x256x8x18xi8> {moe.name = "gate_and_up.down"}) -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = moe.dequantize #moe.q4_0 (%gs : tensor<8x256x8x18xi8>) : tensor<8x256x256xf32>
  %u = moe.dequantize #moe.q8_0 (%us : tensor<8x256x8x34xi8>) : tensor<8x256x256xf32>
  %d = moe.dequantize #moe.iq4_nl (%ds : tensor<8x256x8x18xi8>) : tensor<8x256x256xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x256xf32>, tensor<8x256xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x256x256xf32>, tensor<8x256x256xf32>, tensor<8x256x256xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<256x256xf32>, %b: tensor<256x256xf32>, %c: tensor<256x256xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

// Plain numbers are a format, too.
// CHECK-LABEL: func.func @stored_and_plain(
// CHECK: moek.grouped_matmul {{.*}} phase("gate") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("up") schedule
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.q4_k)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
func.func @stored_and_plain(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x256xf32> {moe.name = "router.weight"},
    %gs: tensor<8x256x8x18xi8> {moe.name = "stored_and_plain.gate"},
    %u: tensor<8x256x256xf32> {moe.name = "stored_and_plain.up"},
    %ds: tensor<8x256x1x144xi8> {moe.name = "stored_and_plain.down"}) -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = moe.dequantize #moe.q4_0 (%gs : tensor<8x256x8x18xi8>) : tensor<8x256x256xf32>
  %d = moe.dequantize #moe.q4_k (%ds : tensor<8x256x1x144xi8>) : tensor<8x256x256xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x256xf32>, tensor<8x256xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x256x256xf32>, tensor<8x256x256xf32>, tensor<8x256x256xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<256x256xf32>, %b: tensor<256x256xf32>, %c: tensor<256x256xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>, tensor<256x256xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

// Hot experts in 8 bits between cold ones in 4.
// CHECK-LABEL: func.func @hot_and_cold(
// CHECK: moek.grouped_matmul {{.*}} phase("gate_up") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("gate_up") format(#moe.q8_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.q8_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("gate_up") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.grouped_matmul {{.*}} phase("down") format(#moe.q4_0)
// INT8-SAME: schedule(#moe_cpu.schedule<dot_int8,
// F32-SAME: schedule(#moe_cpu.schedule<decode,
// CHECK: moek.combine
// CHECK-NOT: moek.combine
func.func @hot_and_cold(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x256xf32> {moe.name = "router.weight"},
    %hgs: tensor<3x128x8x34xi8> {moe.name = "hot.gate"},
    %hus: tensor<3x128x8x34xi8> {moe.name = "hot.up"},
    %hds: tensor<3x256x4x34xi8> {moe.name = "hot.down"},
    %cgs: tensor<5x128x8x18xi8> {moe.name = "cold.gate"},
    %cus: tensor<5x128x8x18xi8> {moe.name = "cold.up"},
    %cds: tensor<5x256x4x18xi8> {moe.name = "cold.down"}) -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %hg = moe.dequantize #moe.q8_0 (%hgs : tensor<3x128x8x34xi8>) : tensor<3x128x256xf32>
  %hu = moe.dequantize #moe.q8_0 (%hus : tensor<3x128x8x34xi8>) : tensor<3x128x256xf32>
  %hd = moe.dequantize #moe.q8_0 (%hds : tensor<3x256x4x34xi8>) : tensor<3x256x128xf32>
  %cg = moe.dequantize #moe.q4_0 (%cgs : tensor<5x128x8x18xi8>) : tensor<5x128x256xf32>
  %cu = moe.dequantize #moe.q4_0 (%cus : tensor<5x128x8x18xi8>) : tensor<5x128x256xf32>
  %cd = moe.dequantize #moe.q4_0 (%cds : tensor<5x256x4x18xi8>) : tensor<5x256x128xf32>
  %cg0 = tensor.extract_slice %cg[0, 0, 0] [2, 128, 256] [1, 1, 1] : tensor<5x128x256xf32> to tensor<2x128x256xf32>
  %cg1 = tensor.extract_slice %cg[2, 0, 0] [3, 128, 256] [1, 1, 1] : tensor<5x128x256xf32> to tensor<3x128x256xf32>
  %cu0 = tensor.extract_slice %cu[0, 0, 0] [2, 128, 256] [1, 1, 1] : tensor<5x128x256xf32> to tensor<2x128x256xf32>
  %cu1 = tensor.extract_slice %cu[2, 0, 0] [3, 128, 256] [1, 1, 1] : tensor<5x128x256xf32> to tensor<3x128x256xf32>
  %cd0 = tensor.extract_slice %cd[0, 0, 0] [2, 256, 128] [1, 1, 1] : tensor<5x256x128xf32> to tensor<2x256x128xf32>
  %cd1 = tensor.extract_slice %cd[2, 0, 0] [3, 256, 128] [1, 1, 1] : tensor<5x256x128xf32> to tensor<3x256x128xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x256xf32>, tensor<8x256xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
  experts 0 to 2 weights(%cg0, %cu0, %cd0 : tensor<2x128x256xf32>, tensor<2x128x256xf32>, tensor<2x256x128xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<128x256xf32>, %b: tensor<128x256xf32>, %c: tensor<256x128xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<128x256xf32>, tensor<128x256xf32>, tensor<256x128xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  } experts 2 to 5 weights(%hg, %hu, %hd : tensor<3x128x256xf32>, tensor<3x128x256xf32>, tensor<3x256x128xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<128x256xf32>, %b: tensor<128x256xf32>, %c: tensor<256x128xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<128x256xf32>, tensor<128x256xf32>, tensor<256x128xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  } experts 5 to 8 weights(%cg1, %cu1, %cd1 : tensor<3x128x256xf32>, tensor<3x128x256xf32>, tensor<3x256x128xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<128x256xf32>, %b: tensor<128x256xf32>, %c: tensor<256x128xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x256xf32>, tensor<128x256xf32>, tensor<128x256xf32>, tensor<256x128xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}
