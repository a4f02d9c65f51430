// Mixtral: softmax over the two chosen logits. The first layer is the default.

// RUN: moe-import %examples/models/Mixtral-8x7B.json | FileCheck %s
// RUN: moe-import %examples/models/Mixtral-8x7B.json | moe-opt --verify-roundtrip -o /dev/null
// RUN: moe-import %examples/models/Mixtral-8x22B.json --layers=55 | FileCheck %s --check-prefix=LARGE

// CHECK:       module attributes {moe.model = "Mixtral-8x7B"} {
// CHECK:         func.func @layer_0(
// CHECK-SAME:      %x: tensor<?x4096xf32> {moe.dims = ["T"], moe.name = "x"},
// CHECK-SAME:      %router_weight: tensor<8x4096xf32> {moe.name = "router.weight"},
// CHECK-SAME:      %experts_gate_proj: tensor<8x14336x4096xf32> {moe.name = "experts.gate_proj"},
// CHECK-SAME:      %experts_up_proj: tensor<8x14336x4096xf32> {moe.name = "experts.up_proj"},
// CHECK-SAME:      %experts_down_proj: tensor<8x4096x14336xf32> {moe.name = "experts.down_proj"})
// CHECK-SAME:      -> (tensor<?x4096xf32> {moe.dims = ["T"], moe.name = "y"})
// CHECK-SAME:      attributes {moe.layer = 0 : i64, moe.model = "Mixtral-8x7B"}
// CHECK:           %[[T:.+]] = tensor.dim %x, %{{.+}} : tensor<?x4096xf32>
// CHECK:           tensor.empty(%[[T]]) : tensor<?x8xf32>
// CHECK:           %[[Z:.+]] = linalg.matmul {{.+}} ins(%x, %router_weight :
// CHECK-NOT:       linalg.softmax
// CHECK:           %[[R:.+]] = moe.router #moe.top_k<2> select(%[[Z]]) weigh(%[[Z]]) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
// CHECK:           %[[ROWS:.+]] = moe.dispatch %x by %[[R]] :
// CHECK:           %[[OUT:.+]] = moe.expert %[[ROWS]] by %[[R]] :
// CHECK-NEXT:      experts 0 to 8 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj :
// CHECK-NEXT:      ^bb0(%[[OWN:.+]]: tensor<?x4096xf32>, %[[G:.+]]: tensor<14336x4096xf32>, %[[U:.+]]: tensor<14336x4096xf32>, %[[D:.+]]: tensor<4096x14336xf32>):
// CHECK-NEXT:        %[[F:.+]] = moe.ffn %[[OWN]] gate(%[[G]]) up(%[[U]]) down(%[[D]]) activation(#moe.silu)
// CHECK-NEXT:        moe.yield %[[F]]
// CHECK:           %[[Y:.+]] = moe.combine %[[OUT]] by %[[R]] : tensor<?x4096xf32>, !moe.routing<8 x 2> -> tensor<?x4096xf32>
// CHECK-NEXT:      return %[[Y]]

// LARGE: func.func @layer_55({{.+}}%experts_gate_proj: tensor<8x16384x6144xf32>
