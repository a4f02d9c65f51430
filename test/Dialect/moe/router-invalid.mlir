// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @router_no_policy(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{'moe.router' op requires attribute 'policy'}}
  %r = "moe.router"(%s, %s) <{operandSegmentSizes = array<i32: 1, 1, 0>}> ({}) : (tensor<?x8xf32>, tensor<?x8xf32>) -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_unknown_experts(%s: tensor<?x?xf32>) {
  // expected-error @+1 {{expects a static number of experts, dimension 1 of select, but got 'tensor<?x?xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x?xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_no_experts(%s: tensor<?x0xf32>) {
  // expected-error @+1 {{expects the number of experts to be at least 1, dimension 1 of select, but got 'tensor<?x0xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x0xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_rank(%s: tensor<8xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<8xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_unranked(%s: tensor<*xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<*xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<*xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_rounded_scores(%s: tensor<?x8xbf16>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<?x8xbf16>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xbf16> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_two_types(%s: tensor<?x8xf32>, %w: tensor<?x16xf32>) {
  // expected-error @+1 {{failed to verify that all of {select, weigh} have same type}}
  %r = "moe.router"(%s, %w) <{operandSegmentSizes = array<i32: 1, 1, 0>, policy = #moe.top_k<2>}> ({}) : (tensor<?x8xf32>, tensor<?x16xf32>) -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_k_above_e(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects #moe.top_k to select at most all 8 experts, but it selects 9}}
  %r = moe.router #moe.top_k<9> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @router_other_experts(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects a result of type '!moe.routing<8 x 2>', as #moe.top_k<2> of 8 experts gives, but got '!moe.routing<16 x 2>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<16 x 2>
  return
}

// -----

func.func @router_other_slots(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects a result of type '!moe.routing<8 x 2>', as #moe.top_k<2> of 8 experts gives, but got '!moe.routing<8 x 4>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 4>
  return
}

// -----

func.func @router_uneven_groups(%s: tensor<?x10xf32>) {
  // expected-error @+1 {{expects the groups of #moe.group_top_k to divide the number of experts, but got 4 groups of 10 experts}}
  %r = moe.router #moe.group_top_k<2, groups = 4, keep = 2, reduce = max> select(%s) weigh(%s) : tensor<?x10xf32> -> !moe.routing<10 x 2>
  return
}

// -----

func.func @router_groups_too_small(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects #moe.group_top_k to select at most the 4 experts of the 2 groups it keeps, but it selects 5}}
  %r = moe.router #moe.group_top_k<5, groups = 4, keep = 2, reduce = max> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 5>
  return
}

// -----

func.func @router_top2_of_one(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects groups of at least 2 experts for `reduce = top2`, but got groups of 1}}
  %r = moe.router #moe.group_top_k<2, groups = 8, keep = 4, reduce = top2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_not_a_policy(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{invalid kind of attribute specified}}
  %r = moe.router #moe.silu select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_not_a_weighing(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{attribute 'weighing' failed to satisfy constraint: list of attributes that implement WeighingAttrInterface}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.silu] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_list_and_region(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects weights by a list `weighing` or by a region `weights`, but has both}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_arguments(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to have 1 arguments (chosen values), but it has 3}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>, %w: vector<2xi1>, %u: vector<2xi1>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_used(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects argument #1 of the region `weights` (which slots are used) to be 'vector<2xi1>', but got 'vector<2xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: vector<2xf32>, %w: vector<2xf32>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_type(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects argument #0 of the region `weights` (chosen values) to be 'vector<2xf32>', but got 'vector<8xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: vector<8xf32>):
    moe.yield %v : vector<8xf32>
  }
  return
}

// -----

func.func @router_region_yield(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to yield one value of 'vector<2xf32>', but it yields 2}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    // expected-note @+1 {{yielded here}}
    moe.yield %v, %v : vector<2xf32>, vector<2xf32>
  }
  return
}

// -----

func.func @router_region_terminator(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to end with moe.yield}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    // expected-note @+1 {{it ends here, with 'llvm.unreachable'}}
    llvm.unreachable
  }
  return
}

// -----

func.func @router_region_blocks(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to be one block, but it has 2}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    cf.br ^bb1
  ^bb1:
    moe.yield %v : vector<2xf32>
  }
  return
}
