// Phi-3.5-MoE: the policy makes the weights itself.

// RUN: moe-import %examples/models/Phi-3.5-MoE.json | FileCheck %s
// RUN: moe-import %examples/models/Phi-3.5-MoE.json | moe-opt --verify-roundtrip -o /dev/null

// CHECK:       module attributes {moe.model = "Phi-3.5-MoE"} {
// CHECK:         %[[Z:.+]] = linalg.matmul {{.+}} ins(%x, %router_weight : tensor<?x4096xf32>, tensor<16x4096xf32>)
// CHECK:         %[[R:.+]] = moe.router #moe.sparse_mixer<eps = 0.01> select(%[[Z]]) : tensor<?x16xf32> -> !moe.routing<16 x 2>
// CHECK:         moe.dispatch %x by %[[R]]
// CHECK:         experts 0 to 16 weights({{.+}} : tensor<16x6400x4096xf32>, tensor<16x6400x4096xf32>, tensor<16x4096x6400xf32>)
// CHECK:         activation(#moe.silu)

// RUN: echo '{"model_type": "phimoe", "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 1, "num_local_experts": 4, "num_experts_per_tok": 3}' > %t.json
// RUN: not moe-import %t.json 2>&1 | FileCheck %s --check-prefix=THREE
// THREE: num_experts_per_tok{{.*}}is 3, but the router of this family chooses 2
