// The interpreter runs whole blocks of models, with a cache that is empty as
// well, and its results do not depend on the number of threads.
// RUN: moe-interpret %examples/decoder_block.mlir --random=1 --size=T=3,L=5 --threads=1 -o %t.safetensors
// RUN: moe-interpret %examples/decoder_block.mlir --random=1 --size=T=3,L=5 --threads=3 --expect=%t.safetensors --tolerance=0 | FileCheck %s
// RUN: moe-interpret %examples/decoder_block.mlir --random=1 --size=T=1,L=0 -o %t.first.safetensors
// CHECK: y: max error 0 ok
// CHECK: k_new: max error 0 ok
