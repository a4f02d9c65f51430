// Weights of experts in a format: arguments are what they are stored in, and all
// else stays as it is.

// RUN: rm -rf %t && mkdir -p %t
// RUN: moe-import --weights-type=q4_0 --experts=8 %examples/models/Qwen3-30B-A3B.json -o %t/q4_0.mlir
// RUN: FileCheck %s --input-file=%t/q4_0.mlir
// CHECK:      func.func @layer_0(%x: tensor<?x2048xf32>
// CHECK-SAME: %router_weight: tensor<8x2048xf32> {moe.name = "router.weight"}
// CHECK-SAME: %experts_gate_proj: tensor<8x768x64x18xi8> {moe.name = "experts.gate_proj"}
// CHECK-SAME: %experts_up_proj: tensor<8x768x64x18xi8> {moe.name = "experts.up_proj"}
// CHECK-SAME: %experts_down_proj: tensor<8x2048x24x18xi8> {moe.name = "experts.down_proj"}
// CHECK:      %gate_proj = moe.dequantize #moe.q4_0(%experts_gate_proj : tensor<8x768x64x18xi8>) : tensor<8x768x2048xf32>
// CHECK:      %down_proj = moe.dequantize #moe.q4_0(%experts_down_proj : tensor<8x2048x24x18xi8>) : tensor<8x2048x768xf32>
// CHECK:      weights(%gate_proj, %up_proj, %down_proj : tensor<8x768x2048xf32>, tensor<8x768x2048xf32>, tensor<8x2048x768xf32>)

// Several tensors have names of their own. Biases stay numbers.
// RUN: moe-import --weights-type=mxfp4 --experts=8 --ignore-quantization %examples/models/gpt-oss-20b.json | FileCheck %s --check-prefix=SEVERAL
// SEVERAL:      %experts_up_proj_blocks: tensor<8x2880x90x16xi8> {moe.name = "experts.up_proj.blocks"}
// SEVERAL-SAME: %experts_up_proj_scales: tensor<8x2880x90xi8> {moe.name = "experts.up_proj.scales"}
// SEVERAL-SAME: %experts_up_proj_bias: tensor<8x2880xf32> {moe.name = "experts.up_proj_bias"}
// SEVERAL:      moe.dequantize #moe.mxfp4(%experts_up_proj_blocks, %experts_up_proj_scales : tensor<8x2880x90x16xi8>, tensor<8x2880x90xi8>) : tensor<8x2880x2880xf32>

// A format with parameters, and shared experts.
// RUN: moe-import '--weights-type=int4<group = 64, scales = bf16>' --experts=16 %examples/models/DeepSeek-V3.json | FileCheck %s --check-prefix=PARAMETERS
// PARAMETERS: %shared_up_proj_q: tensor<2048x112x32xi8> {moe.name = "shared.up_proj.q"}
// PARAMETERS-SAME: %shared_up_proj_scales: tensor<2048x112xbf16> {moe.name = "shared.up_proj.scales"}
// PARAMETERS: moe.dequantize #moe.int4<group = 64, scales = bf16>(%shared_up_proj_q

// RUN: not moe-import --weights-type=q4_k --experts=8 %examples/models/gpt-oss-20b.json 2>&1 | FileCheck %s --check-prefix=BLOCKS
// BLOCKS: 'experts.gate_proj': rows of 2880 weights are no whole blocks of #moe.q4_k, which are of 256
// RUN: not moe-import '--weights-type=int4<group = 7, scales = bf16>' %examples/models/gpt-oss-20b.json 2>&1 | FileCheck %s --check-prefix=GROUP
// GROUP: error: --weights-type=int4<group = 7, scales = bf16>: groups of int4 are of a multiple of
// RUN: not moe-import --weights-type=top_k %examples/models/gpt-oss-20b.json 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not moe-import '--weights-type=#moe.silu' %examples/models/gpt-oss-20b.json 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: --weights-type: unknown value '{{.*}}'; known are f32, bf16, {{.*}}q8_0
