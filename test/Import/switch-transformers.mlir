// Switch: one expert a token, a capacity, plain ReLU experts or gated GELU
// ones. The decoder's layers follow the encoder's.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import %examples/models/switch-base-8.json | FileCheck %s
// RUN: moe-import --layers=all %examples/models/switch-base-8.json | grep -c func.func | FileCheck %s --check-prefix=COUNT
// RUN: moe-import --layers=23 %examples/models/switch-base-8.json | FileCheck %s --check-prefix=DECODER
// RUN: moe-import --layers=all %t/gated.json | FileCheck %s --check-prefix=GATED

// CHECK:     func.func @layer_1(
// CHECK-NOT:   experts.gate_proj
// CHECK:       %[[P:.+]] = linalg.softmax
// CHECK:       %[[R:.+]] = moe.router #moe.top_k<1> select(%[[P]]) weigh(%[[P]]) : tensor<?x8xf32>
// CHECK:       %[[K:.+]] = moe.routing.limit %[[R]] capacity 64 : !moe.routing<8 x 1>
// CHECK:       moe.dispatch %x by %[[K]] :
// CHECK:       moe.expert %{{.+}} by %[[K]] :
// CHECK:       moe.ffn %{{.+}} up(%{{.+}}) down(%{{.+}}) activation(#moe.relu)
// CHECK:       moe.combine %{{.+}} by %[[K]] :

// COUNT: 12
// DECODER: func.func @layer_23(

// Layers 0 and 1 are the encoder's, dense by a step of 0; of the decoder's
// three, all have experts.
// GATED-NOT: func.func
// GATED: func.func @layer_2({{.+}}moe.name = "router.bias"{{.+}}moe.name = "experts.gate_proj"
// GATED:   moe.routing.limit {{.+}} capacity 3 :
// GATED:   moe.ffn {{.+}} gate(%{{.+}}) up(%{{.+}}) down(%{{.+}}) activation(#moe.gelu_tanh)
// GATED: func.func @layer_3(
// GATED: func.func @layer_4(
// GATED-NOT: func.func

//--- gated.json
{"model_type": "switch_transformers", "d_model": 8, "d_ff": 4, "num_layers": 2,
 "num_decoder_layers": 3, "encoder_sparse_step": 0,
 "decoder_sparse_step": 1, "num_experts": 4, "expert_capacity": 3,
 "router_bias": true, "feed_forward_proj": "gated-gelu"}
