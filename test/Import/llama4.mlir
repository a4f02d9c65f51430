// Llama 4: the sigmoid of the chosen logit scales the expert's input.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import %examples/models/Llama-4-Scout-17B-16E.json | FileCheck %s
// RUN: moe-import --layers=all %examples/models/Llama-4-Maverick-17B-128E.json | grep -c func.func | FileCheck %s --check-prefix=COUNT
// RUN: moe-import %examples/models/Llama-4-Maverick-17B-128E.json | FileCheck %s --check-prefix=MAVERICK
// RUN: moe-import --layers=all %t/listed.json | FileCheck %s --check-prefix=LISTED

// CHECK: module attributes {moe.model = "Llama-4-Scout-17B-16E"}
// CHECK: func.func @layer_0({{.+}}%experts_gate_proj: tensor<16x8192x5120xf32>
// CHECK:   %[[Z:.+]] = linalg.matmul
// CHECK:   %[[R:.+]] = moe.router #moe.top_k<1> select(%[[Z]]) weigh(%[[Z]]) weighing [#moe.sigmoid] : tensor<?x16xf32> -> !moe.routing<16 x 1>
// CHECK:   %[[ROWS:.+]] = moe.dispatch %x by %[[R]] weighted :
// CHECK:   %[[OUT:.+]] = moe.expert %[[ROWS]] by %[[R]]
// CHECK:   %[[SHARED:.+]] = moe.ffn %x gate(%shared_gate_proj) up(%shared_up_proj) down(%shared_down_proj)
// CHECK:   moe.combine %[[OUT]] by %[[R]] unweighted init(%[[SHARED]] : tensor<?x5120xf32>)

// COUNT: 24
// MAVERICK: func.func @layer_1(

// moe_layers takes precedence over the step; the text model alone is fine.
// LISTED-NOT: func.func
// LISTED:     func.func @layer_0(
// LISTED-NOT: func.func
// LISTED:     func.func @layer_3(
// LISTED-NOT: func.func

//--- listed.json
{"model_type": "llama4_text", "num_hidden_layers": 4, "hidden_size": 8,
 "intermediate_size": 4, "num_local_experts": 4, "num_experts_per_tok": 1,
 "interleave_moe_layer_step": 2, "moe_layers": [3, 0]}
