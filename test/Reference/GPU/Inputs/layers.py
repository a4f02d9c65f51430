"""Layers for the tests of this folder, with weights in formats and a routing that
comes from outside."""
EXPERTS, SLOTS = 4, 2


def make_layer(formats, hidden, inner):
    x = f"tensor<?x{hidden}xf32>"
    up, down = f"{inner}x{hidden}xf32", f"{hidden}x{inner}xf32"
    weights = ", ".join(
        f'%{key}: tensor<{EXPERTS}x{matrix}> {{moe.name = "{key}", moe.format = #moe.{own}}}'
        for key, matrix, own in (("gate", up, formats[0]), ("up", up, formats[0]),
                                 ("down", down, formats[1])))
    routing = f"!moe.routing<{EXPERTS} x {SLOTS}>"
    chosen = f"tensor<?x{SLOTS}xi32>, tensor<?x{SLOTS}xf32>"
    return f"""func.func @layer(%x: {x} {{moe.name = "x", moe.dims = ["T"]}},
    %i: tensor<?x{SLOTS}xi32> {{moe.name = "routing.indices", moe.dims = ["T"]}},
    %p: tensor<?x{SLOTS}xf32> {{moe.name = "routing.weights", moe.dims = ["T"]}},
    {weights}) -> ({x} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.routing.make %i, %p : {chosen} -> {routing}
  %rows = moe.dispatch %x by %r : {x}, {routing} -> {x}
  %e = moe.expert %rows by %r : ({x}, {routing}) -> {x}
  experts 0 to {EXPERTS} weights(%gate, %up, %down : tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{down}>) {{
  ^bb0(%t: {x}, %g: tensor<{up}>, %u: tensor<{up}>, %d: tensor<{down}>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
        : ({x}, tensor<{up}>, tensor<{up}>, tensor<{down}>) -> {x}
    moe.yield %f : {x}
  }}
  %y = moe.combine %e by %r : {x}, {routing} -> {x}
  return %y : {x}
}}
"""
