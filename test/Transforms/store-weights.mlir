// What moe.format says of arguments, in stacks and slices of weights, too.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-opt %t/ok.mlir --moe-store-weights | FileCheck %s
// RUN: moe-opt %t/ok.mlir --moe-store-weights | FileCheck %s --check-prefix=NONE
// NONE-NOT: moe.format
// RUN: not moe-opt %t/router.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=ROUTER
// ROUTER: error: 'router.weight' of 'layer' cannot be #moe.q4_0, as its moe.format says: it is no matrix that rows of a public function are multiplied by
// RUN: not moe-opt %t/blocks.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=BLOCKS
// BLOCKS: error: 'up' of 'layer' cannot be #moe.q4_k, as its moe.format says: rows of 64 weights are no whole blocks of #moe.q4_k, which are of 256
// RUN: not moe-opt %t/type.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: error: 'up' of 'layer' cannot be i8, as its moe.format says: it is no format of weights, and no type of floats
// RUN: not moe-opt %t/columns.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=COLUMNS
// COLUMNS: error: 'up' of 'layer' cannot be #moe.q4_0, as its moe.format says: it is not multiplied along its rows
// RUN: not moe-opt %t/list.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=LIST
// LIST: error: 'up' of 'layer' cannot be {{.*}}, as its moe.format says: it is no list of ranges of experts, such as {{\[\[}}0, #moe.q6_k], [16, #moe.q4_k{{]]}}
// RUN: not moe-opt %t/types.mlir --moe-store-weights 2>&1 | FileCheck %s --check-prefix=TYPES
// TYPES: error: 'up' cannot be q4_0: numbers of ranges of experts have to be of one type

// Compilers obey, and so do runs that verify, with the names that stored weights
// have; a model that says nothing of formats is left as it was.
// RUN: moe-compile %t/ok.mlir --target=x86-64-v3 --compile-to=fused | grep -c 'format(#moe.q4_0)' | grep 5
// RUN: moe-compile %t/ok.mlir --target=x86-64-v3 --compile-to=fused | FileCheck %s --check-prefix=FUSED
// FUSED-LABEL: func.func @ranges(
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<1x{{.*}} phase("gate_up") format(#moe.q8_0)
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<1x{{.*}} phase("down") format(#moe.q5_0)
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<2x{{.*}} phase("gate_up") format(#moe.q4_0)
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<2x{{.*}} phase("down") format(#moe.q5_0)
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<1x{{.*}} phase("gate_up") format(#moe.q4_0)
// FUSED: moek.grouped_matmul {{.*}} rhs({{.*}}tensor<1x{{.*}} phase("down") outs
// RUN: moe-run %t/ok.mlir --entry=ranges --random=1 --tokens=5 --verify
// RUN: moe-run %t/ok.mlir --entry=stack --random=1 --tokens=5 --verify
// RUN: moe-opt %t/nothing.mlir --moe-store-weights | FileCheck %s --check-prefix=NOTHING
// NOTHING: func.func @layer(%arg0: tensor<4x64xf32>, %arg1: tensor<32x64xf32>, %arg2: tensor<64x32xf32>)

// So does moe-quantize, unless a rule says something else.
// RUN: moe-quantize %t/ok.mlir --random=1 | FileCheck %s --check-prefix=QUANTIZE
// QUANTIZE:      stack/gate_up f32 q4_0
// QUANTIZE-NEXT: stack/down f32 bf16
// QUANTIZE-NEXT: ranges/gate_up.0-0 f32 q8_0
// QUANTIZE-NEXT: ranges/gate_up.1-3 f32 q4_0
// QUANTIZE-NEXT: ranges/down.0-2 f32 q5_0
// QUANTIZE-NEXT: ranges/down.3-3 f32 f32 32.00 0 0 0.000 %
// QUANTIZE-NEXT: stored/up q8_0 q4_0
// QUANTIZE-NEXT: stored/down f32 q4_0
// RUN: moe-quantize %t/ok.mlir --random=1 --to=stack/*=q5_0,*up=keep | FileCheck %s --check-prefix=RULES --implicit-check-not=stored/up
// RULES:      stack/gate_up f32 q5_0
// RULES-NEXT: stack/down f32 q5_0
// RULES-NEXT: ranges/gate_up.0-0 f32 q8_0
// RULES-NEXT: ranges/gate_up.1-3 f32 q4_0
// RULES-NEXT: ranges/down.0-2 f32 q5_0
// RULES-NEXT: ranges/down.3-3 f32 f32
// RULES-NEXT: stored/down f32 q4_0
// RUN: moe-quantize %t/ok.mlir --random=1 --to=stack/*@1-2=q5_0,stack/gate_up@0-3=q8_0,stack/down=f32,stored/*=keep,ranges/*=bf16 | FileCheck %s --check-prefix=EXPERTS --implicit-check-not=stored
// EXPERTS:      stack/gate_up.0-0 f32 q8_0
// EXPERTS-NEXT: stack/gate_up.1-2 f32 q5_0
// EXPERTS-NEXT: stack/gate_up.3-3 f32 q8_0
// EXPERTS-NEXT: stack/down.0-0
// RUN: not moe-quantize %t/ok.mlir --random=1 --to=stack/down@2-4=q5_0 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: --to: 'down' has no expert 4: there are 4
// RUN: not moe-quantize %t/ok.mlir --random=1 --to=stack/down@2-1=q5_0 2>&1 | FileCheck %s --check-prefix=WHICH
// WHICH: --to: 'stack/down@2-1=q5_0': expected experts behind the @, such as 3 or 0-15
// RUN: not moe-quantize %t/nothing.mlir --random=1 2>&1 | FileCheck %s --check-prefix=SILENT
// SILENT: error: nothing says what weights become: neither --to nor a moe.format of the model

//--- ok.mlir
// CHECK-LABEL: func.func @stack(
// CHECK-SAME: %[[GU:[a-z0-9_]+]]: tensor<4x64x2x18xi8> {moe.name = "gate_up"}, %[[D:[a-z0-9_]+]]: tensor<4x64x32xbf16> {moe.name = "down"}
// CHECK: %[[W:.*]] = moe.dequantize #moe.q4_0(%[[GU]] : tensor<4x64x2x18xi8>) : tensor<4x64x64xf32>
// CHECK: tensor.extract_slice %[[W]]
// CHECK: experts 0 to 4 weights({{.*}}, %[[D]] : tensor<4x32x64xf32>, tensor<4x32x64xf32>, tensor<4x64x32xbf16>)
func.func @stack(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<4x64xf32> {moe.name = "router.weight"},
    %gu: tensor<4x64x64xf32> {moe.name = "gate_up", moe.format = #moe.q4_0},
    %d: tensor<4x64x32xf32> {moe.name = "down", moe.format = bf16}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = tensor.extract_slice %gu[0, 0, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %u = tensor.extract_slice %gu[0, 32, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x64xf32>, tensor<4x64xf32>) outs(%f0 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%g, %u, %d : tensor<4x32x64xf32>, tensor<4x32x64xf32>, tensor<4x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %a: tensor<32x64xf32>, %b: tensor<32x64xf32>, %c: tensor<64x32xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Ranges of experts are weights of their own, and groups of the layer wherever one
// of either begins.
// CHECK-LABEL: func.func @ranges(
// CHECK-SAME: tensor<1x64x2x34xi8> {moe.name = "gate_up.0-0"}, {{.*}}: tensor<3x64x2x18xi8> {moe.name = "gate_up.1-3"}
// CHECK-SAME: tensor<3x64x1x22xi8> {moe.name = "down.0-2"}, {{.*}}: tensor<1x64x32xf32> {moe.name = "down.3-3"}
// CHECK: experts 0 to 1 weights(
// CHECK: experts 1 to 3 weights(
// CHECK: experts 3 to 4 weights(
func.func @ranges(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<4x64xf32> {moe.name = "router.weight"},
    %gu: tensor<4x64x64xf32> {moe.name = "gate_up", moe.format = [[0, #moe.q8_0], [1, #moe.q4_0]]},
    %d: tensor<4x64x32xf32> {moe.name = "down", moe.format = [[0, #moe.q5_0], [3, f32]]}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %g = tensor.extract_slice %gu[0, 0, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %u = tensor.extract_slice %gu[0, 32, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x64xf32>, tensor<4x64xf32>) outs(%f0 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%g, %u, %d : tensor<4x32x64xf32>, tensor<4x32x64xf32>, tensor<4x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %a: tensor<32x64xf32>, %b: tensor<32x64xf32>, %c: tensor<64x32xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Of a weight that is stored already, its tensors change.
// CHECK-LABEL: func.func @stored(
// CHECK-SAME: %[[UP:[a-z0-9_]+]]: tensor<32x2x18xi8> {moe.name = "up"}, %[[DOWN:[a-z0-9_]+]]: tensor<64x1x18xi8> {moe.name = "down"}
// CHECK-DAG: moe.dequantize #moe.q4_0(%[[UP]] : tensor<32x2x18xi8>) : tensor<32x64xf32>
// CHECK-DAG: moe.dequantize #moe.q4_0(%[[DOWN]] : tensor<64x1x18xi8>) : tensor<64x32xf32>
func.func @stored(%x: tensor<4x64xf32> {moe.name = "x"}, %us: tensor<32x2x34xi8> {moe.name = "up", moe.format = #moe.q4_0},
    %down: tensor<64x32xf32> {moe.name = "down", moe.format = #moe.q4_0}) -> (tensor<4x64xf32> {moe.name = "y"}) {
  %up = moe.dequantize #moe.q8_0 (%us : tensor<32x2x34xi8>) : tensor<32x64xf32>
  %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- nothing.mlir
func.func @layer(%x: tensor<4x64xf32>, %up: tensor<32x64xf32>, %down: tensor<64x32xf32>) -> tensor<4x64xf32> {
  %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- router.mlir
func.func @layer(%x: tensor<4x64xf32>, %wr: tensor<8x64xf32> {moe.name = "router.weight", moe.format = #moe.q4_0}) -> tensor<4x64xf32> {
  return %x : tensor<4x64xf32>
}

//--- blocks.mlir
func.func @layer(%x: tensor<4x64xf32>, %up: tensor<32x64xf32> {moe.name = "up", moe.format = #moe.q4_k}, %down: tensor<64x32xf32>) -> tensor<4x64xf32> {
  %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- type.mlir
func.func @layer(%x: tensor<4x64xf32>, %up: tensor<32x64xf32> {moe.name = "up", moe.format = i8}, %down: tensor<64x32xf32>) -> tensor<4x64xf32> {
  %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- columns.mlir
func.func @layer(%x: tensor<4x64xf32>, %up: tensor<64x32xf32> {moe.name = "up", moe.format = #moe.q4_0}, %down: tensor<64x32xf32>) -> tensor<4x64xf32> {
  %t = tensor.empty() : tensor<32x64xf32>
  %ut = linalg.transpose ins(%up : tensor<64x32xf32>) outs(%t : tensor<32x64xf32>) permutation = [1, 0]
  %f = moe.ffn %x up(%ut) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- list.mlir
func.func @layer(%x: tensor<4x64xf32>, %up: tensor<32x64xf32> {moe.name = "up", moe.format = [[0, #moe.q4_0], [1, #moe.q8_0]]}, %down: tensor<64x32xf32>) -> tensor<4x64xf32> {
  %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2) : (tensor<4x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
  return %f : tensor<4x64xf32>
}

//--- types.mlir
func.func @layer(%rows: tensor<?x64xf32> {moe.dims = ["A"]}, %o: !moe.routing<2 x 1>, %up: tensor<2x32x64xf32> {moe.name = "up", moe.format = [[0, #moe.q4_0], [1, bf16]]}, %down: tensor<2x64x32xf32>) -> tensor<?x64xf32> {
  %out = moe.expert %rows by %o : (tensor<?x64xf32>, !moe.routing<2 x 1>) -> tensor<?x64xf32>
  experts 0 to 2 weights(%up, %down : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu2) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  return %out : tensor<?x64xf32>
}
