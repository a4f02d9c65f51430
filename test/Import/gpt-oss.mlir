// gpt-oss: biases in the router and the experts, a clamped SwiGLU. Biases stay
// f32 with bf16 weights.

// RUN: rm -rf %t && split-file %s %t
// RUN: moe-import --weights-type=bf16 %examples/models/gpt-oss-20b.json | FileCheck %s
// RUN: moe-import %examples/models/gpt-oss-120b.json --layers=35 | FileCheck %s --check-prefix=LARGE
// RUN: moe-import %t/limit.json | FileCheck %s --check-prefix=LIMIT

// CHECK:      func.func @layer_0({{.+}}%router_bias: tensor<32xf32> {moe.name = "router.bias"}
// CHECK-SAME:   %experts_down_proj: tensor<32x2880x2880xbf16> {moe.name = "experts.down_proj"}
// CHECK-SAME:   %experts_gate_proj_bias: tensor<32x2880xf32> {moe.name = "experts.gate_proj_bias"}
// CHECK-SAME:   %experts_up_proj_bias: tensor<32x2880xf32> {moe.name = "experts.up_proj_bias"}
// CHECK-SAME:   %experts_down_proj_bias: tensor<32x2880xf32> {moe.name = "experts.down_proj_bias"})
// CHECK:        %[[Z:.+]] = linalg.matmul
// CHECK:        %[[B:.+]] = linalg.generic {{.+}} ins(%[[Z]], %router_bias : tensor<?x32xf32>, tensor<32xf32>)
// CHECK:          arith.addf
// CHECK:        moe.router #moe.top_k<4> select(%[[B]]) weigh(%[[B]]) weighing [#moe.softmax]
// CHECK:        moe.ffn {{.+}} gate_bias(%{{.+}}) up_bias(%{{.+}}) down_bias(%{{.+}}) activation(#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>)

// LARGE: func.func @layer_35({{.+}}tensor<128x2880x2880xf32>
// LIMIT: #moe.clamped_swiglu<alpha = 1.5, limit = {{1.0e.01|10.0}}, offset = 1.0>

//--- limit.json
{"model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": 8,
 "intermediate_size": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
 "swiglu_limit": 10, "swiglu_alpha": 1.5}
